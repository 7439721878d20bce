"""When people buy: by day of the week, by payday, by hour of their own clock."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from agora.simulator.params import DAY, HOUR

if TYPE_CHECKING:
    from agora.simulator.arrays import Floats, Ints
    from agora.simulator.params import Params

# Monday first.
WEEK = np.array([0.92, 0.92, 0.95, 1.00, 1.15, 1.22, 0.96])
WORKDAY = np.array([
    0.6, 0.3, 0.2, 0.15, 0.15, 0.3, 0.8, 1.8, 2.6, 3.0, 3.4, 4.0,
    4.8, 4.2, 3.6, 3.6, 4.2, 5.4, 6.2, 6.4, 6.0, 4.8, 3.0, 1.4,
])  # fmt: skip
FREE_DAY = np.array([
    1.2, 0.8, 0.5, 0.3, 0.2, 0.2, 0.4, 0.9, 2.0, 3.6, 5.0, 5.8,
    6.0, 5.8, 5.6, 5.4, 5.2, 5.0, 4.8, 4.6, 4.2, 3.4, 2.6, 1.8,
])  # fmt: skip
PAYDAYS = (1, 2, 27, 28)
PAYDAY_FACTOR = 1.12
GROWTH = 0.10
NOISE = 0.03


def day_weights(random: np.random.Generator, params: Params) -> Floats:
    """Share of the payments that falls on each day."""
    days = [params.start + timedelta(days=day) for day in range(params.days)]
    week = WEEK[[day.weekday() for day in days]]
    payday = np.where([day.day in PAYDAYS for day in days], PAYDAY_FACTOR, 1.0)
    growth = 1.0 + GROWTH * np.arange(params.days) / params.days
    weights: Floats = week * payday * growth * random.lognormal(0.0, NOISE, params.days)
    weights /= weights.sum()
    return weights


def times_of_day(random: np.random.Generator, params: Params, day: Ints) -> Ints:
    """Microseconds after the local midnight for payments on these days (counted from the start)."""
    is_free = (params.start.weekday() + day) % 7 >= 5
    workday, free_day = (np.cumsum(hours) / hours.sum() for hours in (WORKDAY, FREE_DAY))
    drawn = random.random(len(day))
    hour = np.where(is_free, np.searchsorted(free_day, drawn), np.searchsorted(workday, drawn))
    return np.minimum(hour, 23) * HOUR + random.integers(0, HOUR, len(day))


def into_span(params: Params, event_at: Ints) -> Ints:
    """Move times that a time zone pushed out of the simulated span by one day, back into it."""
    event_at = np.where(event_at < params.start_at, event_at + DAY, event_at)
    return np.where(event_at >= params.end_at, event_at - DAY, event_at)
