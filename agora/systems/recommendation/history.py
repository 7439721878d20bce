"""What a visitor did last: the customer's interests as the store knows them, and this visit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.entities.customers import INTERESTS
from agora.entities.sequences import KINDS as NAMES
from agora.items import item_key
from agora.systems.recommendation.features import KEYS, KINDS, TIMES

if TYPE_CHECKING:
    from datetime import datetime

    from agora.pipeline import Columns

Array = np.ndarray[Any, Any]

MICROSECONDS = 1e6
# Of a long visit the end counts.
EVENTS = 24
CODES = {name: code for code, name in enumerate(NAMES)}
WORTH = np.array([1.0, 2.0, 3.0])
"""What a click, a cart and a purchase are worth; also the gain of what follows from a list."""


@dataclass(frozen=True, slots=True)
class History:
    """The latest interactions of n visitors, newest first; of one product and kind the newest.

    Attributes:
        keys: Product's key, NaN where there are no more, (n, L).
        kinds: 0 click, 1 cart, 2 purchase, (n, L).
        ages: Seconds before the request, (n, L).
    """

    keys: Array
    kinds: Array
    ages: Array

    @property
    def known(self) -> Array:
        """Whether there is a step, (n, L)."""
        return ~np.isnan(self.keys)

    def take(self, rows: Array) -> History:
        """The chosen visitors."""
        return History(self.keys[rows], self.kinds[rows], self.ages[rows])

    def before(self, steps: int) -> History:
        """As it was so many steps ago; what is then unknown is at the end."""
        parts = (self.keys, self.kinds, self.ages)
        keys, kinds, ages = (np.roll(part, -steps, axis=1) for part in parts)
        keys[:, -steps:] = np.nan
        return History(keys, kinds, ages)


def history_of(columns: Columns) -> History:
    """Interests and session of request columns, merged by time."""
    now = np.asarray(columns["event_at"]) / MICROSECONDS
    keys, kinds, times = (np.ascontiguousarray(part(columns).T) for part in (KEYS, KINDS, TIMES))
    visit = _session(columns["session"], now)
    if visit is not None:
        keys, kinds, times = (
            np.concatenate([new, old], axis=1)
            for new, old in zip(visit, (keys, kinds, times), strict=True)
        )
    times = np.where(np.isnan(keys), -np.inf, times)
    if visit is not None:
        keys, kinds, times = _in_order(keys, kinds, times)
    keys, kinds, times = _once(keys, kinds, times)
    known = ~np.isnan(keys)
    ages = np.where(known, np.maximum(now[:, None] - times, 0.0), 0.0)
    # A kind that is not known here yet counts as the nearest.
    codes = np.clip(np.nan_to_num(kinds), 0, len(NAMES) - 1).astype(np.int64)
    return History(keys, codes, ages)


def _session(session: Array, now: Array) -> tuple[Array, Array, Array] | None:
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


def _in_order(keys: Array, kinds: Array, times: Array) -> tuple[Array, Array, Array]:
    order = np.argsort(-times, axis=1, kind="stable")
    keys, kinds, times = (np.take_along_axis(part, order, 1) for part in (keys, kinds, times))
    return keys, kinds, times


def _once(keys: Array, kinds: Array, times: Array) -> tuple[Array, Array, Array]:
    """Of each product and kind the newest, closed up, at most `INTERESTS`."""
    same = keys[:, :, None] == keys[:, None, :]  # (n, later, earlier); no NaN equals another
    same &= kinds[:, :, None] == kinds[:, None, :]
    again = np.tril(same, -1).any(axis=2)
    if again.any():
        keys = np.where(again, np.nan, keys)
        order = np.argsort(np.isnan(keys), axis=1, kind="stable")
        keys, kinds, times = (np.take_along_axis(part, order, 1) for part in (keys, kinds, times))
    return keys[:, :INTERESTS], kinds[:, :INTERESTS], times[:, :INTERESTS]
