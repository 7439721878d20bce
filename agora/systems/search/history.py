"""What a visitor did last: the customer's interests as the store knows them, and this visit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.shopping.history import KEYS, MICROSECONDS, WORTH, again, codes_of, steps_of

if TYPE_CHECKING:
    from agora.pipeline import Columns

Array = np.ndarray[Any, Any]

HALF_LIFE = 3 * 86_400.0  # An interest of a week ago still says a fifth.


@dataclass(frozen=True, slots=True)
class History:
    """The latest interactions of n visitors.

    Attributes:
        keys: Product's key, NaN where there are no more, (n, L).
        ages: Seconds before the request, (n, L).
        weights: What each says of an interest now; 0 where there are no more, (n, L).
    """

    keys: Array
    ages: Array
    weights: Array


def history_of(columns: Columns) -> History:
    """Interests and visit of request columns, side by side."""
    if not any(columns["session"]) and np.isnan(known := KEYS(columns)).all():
        nothing = np.empty((known.shape[1], 0))
        return History(nothing, nothing, nothing)
    now = np.asarray(columns["event_at"]) / MICROSECONDS
    keys, kinds, times = steps_of(columns)
    # Most visitors did little: what is empty for all is not worked out.
    some = ~np.isnan(keys).all(axis=0)
    keys, kinds, times = keys[:, some], kinds[:, some], times[:, some]
    known = ~np.isnan(keys) & ~again(keys, kinds)
    ages = np.where(known, np.maximum(now[:, None] - np.nan_to_num(times), 0.0), 0.0)
    weights = WORTH[codes_of(kinds)] * 0.5 ** (ages / HALF_LIFE) * known
    return History(np.where(known, keys, np.nan), ages, weights)
