"""Times in requests."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel, ValidationError

from agora.moments import Moment


class Asked(BaseModel):
    at: Moment


def read(text: object) -> datetime:
    return Asked.model_validate_json(json.dumps({"at": text}), strict=True).at


@pytest.mark.parametrize(
    "text",
    ["2026-03-01T12:00:00Z", "2026-03-01t12:00:00z", "2026-03-01T13:00:00+01:00",
     "2026-03-01 06:30:00.000-05:30"],
)  # fmt: skip
def test_a_time_of_rfc_3339_is_read(text: str) -> None:
    assert read(text) == datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["95", "1772366400", 95, "2026-03-01", "2026-03-01T12:00:00", "2026-03-01T12:00Z", "now", "",
     "2026-02-30T12:00:00Z", "2026-03-01T24:00:00Z", "0000-01-01T00:00:00Z", None,
     "9999-12-31T23:59:59-05:30", "1970-01-01T00:00:00Z", "2026-03-01T12:00:00+99:00"],
)  # fmt: skip
def test_anything_else_is_not(text: object) -> None:
    with pytest.raises(ValidationError):
        read(text)


def test_the_schema_says_date_time() -> None:
    assert Asked.model_json_schema()["properties"]["at"]["format"] == "date-time"
