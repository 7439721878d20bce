"""Times in requests: RFC 3339 of this age and nothing else.

Pydantic alone also takes numbers written as text: "95" becomes a moment of the year 1970.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
# As tables' contracts do; what lies beyond is a typing error.
FIRST_YEAR, LAST_YEAR = 2000, 2199


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if not RFC_3339.fullmatch(value):
        raise ValueError("is not a time of RFC 3339, as 2026-03-01T12:00:00Z")
    found = datetime.fromisoformat(value.upper())
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise ValueError(f"lies outside of the years {FIRST_YEAR} to {LAST_YEAR}")
    return found


Moment = Annotated[AwareDatetime, BeforeValidator(_parsed)]
"""A time with a zone, sent as RFC 3339."""
