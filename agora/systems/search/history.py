"""What a visitor did last: the customer's interests as the store knows them, and this visit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.entities.sequences import KINDS as NAMES
from agora.items import item_key
from agora.systems.search.features import KEYS, KINDS, TIMES

if TYPE_CHECKING:
    from datetime import datetime

    from agora.pipeline import Columns

Array = np.ndarray[Any, Any]

MICROSECONDS = 1e6
EVENTS = 24  # Of a long visit the end counts.
CODES = {name: code for code, name in enumerate(NAMES)}
WORTH = np.array([1.0, 2.0, 3.0])
"""What a click, a cart and a purchase say of an interest."""
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
    now = np.asarray(columns["event_at"]) / MICROSECONDS
    keys, kinds, times = (part(columns).T for part in (KEYS, KINDS, TIMES))
    visit = _visit(columns["session"], now)
    if visit is not None:
        keys, kinds, times = (
            np.concatenate([new, old], axis=1)
            for new, old in zip(visit, (keys, kinds, times), strict=True)
        )
    known = ~np.isnan(keys) & ~_again(keys, kinds)
    ages = np.where(known, np.maximum(now[:, None] - np.nan_to_num(times), 0.0), 0.0)
    # A kind that is not known here yet counts as the nearest.
    codes = np.clip(np.nan_to_num(kinds), 0, len(NAMES) - 1).astype(np.int64)
    weights = WORTH[codes] * 0.5 ** (ages / HALF_LIFE) * known
    return History(np.where(known, keys, np.nan), ages, weights)


def _visit(session: Array, now: Array) -> tuple[Array, Array, Array] | None:
    """Keys, kinds and times of the visits' events, the newest first, (n, longest)."""
    visits = [list(reversed(each))[:EVENTS] if each else [] for each in session]
    sizes = np.array([len(visit) for visit in visits])
    longest = int(sizes.max(initial=0))
    if not longest:
        return None
    events = [event for visit in visits for event in visit]
    row, place = np.nonzero(np.arange(longest) < sizes[:, None])
    found = np.full((3, len(visits), longest), np.nan)
    found[0, row, place] = [item_key(event["product_id"]) for event in events]
    found[1, row, place] = [CODES[event["kind"]] for event in events]
    said = np.array([_seconds(event.get("at")) for event in events])
    # What has no time has just happened; a clock that is ahead makes no future.
    found[2, row, place] = np.fmin(said, now[row])
    return found[0], found[1], found[2]


def _seconds(at: datetime | None) -> float:
    return float("nan") if at is None else at.timestamp()


def _again(keys: Array, kinds: Array) -> Array:
    """Whether an earlier column tells the same: the store may know what the visit says."""
    same = keys[:, :, None] == keys[:, None, :]  # (n, later, earlier); no NaN equals another
    same &= kinds[:, :, None] == kinds[:, None, :]
    return np.asarray(np.tril(same, -1).any(axis=2))
