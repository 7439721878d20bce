"""What a visitor did last: the customer's interests as the store knows them, and this visit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.entities.customers import INTERESTS
from agora.shopping.history import MICROSECONDS, again, codes_of, steps_of

if TYPE_CHECKING:
    from agora.pipeline import Columns

Array = np.ndarray[Any, Any]


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
    keys, kinds, times = steps_of(columns)
    times = np.where(np.isnan(keys), -np.inf, times)
    if keys.shape[1] > INTERESTS:
        # A visit stands before what the store knows, which is in order.
        keys, kinds, times = _in_order(keys, kinds, times)
    keys, kinds, times = _once(keys, kinds, times)
    known = ~np.isnan(keys)
    ages = np.where(known, np.maximum(now[:, None] - times, 0.0), 0.0)
    return History(keys, codes_of(kinds), ages)


def _in_order(keys: Array, kinds: Array, times: Array) -> tuple[Array, Array, Array]:
    order = np.argsort(-times, axis=1, kind="stable")
    keys, kinds, times = (np.take_along_axis(part, order, 1) for part in (keys, kinds, times))
    return keys, kinds, times


def _once(keys: Array, kinds: Array, times: Array) -> tuple[Array, Array, Array]:
    """Of each product and kind the newest, closed up, at most `INTERESTS`."""
    twice = again(keys, kinds)
    if twice.any():
        keys = np.where(twice, np.nan, keys)
        order = np.argsort(np.isnan(keys), axis=1, kind="stable")
        keys, kinds, times = (np.take_along_axis(part, order, 1) for part in (keys, kinds, times))
    return keys[:, :INTERESTS], kinds[:, :INTERESTS], times[:, :INTERESTS]
