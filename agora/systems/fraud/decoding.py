"""From columns to the model's input: the same numpy operations for one payment and for a million.

The matrix is built feature by feature (row by row of its transpose), in groups, so that the number
of numpy calls does not grow with the number of features: one payment takes some tens of
microseconds. Behind the inputs lie the card's latest payments, as they come.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.columns import Gather
from agora.entities.cards import CARDS_SEQUENCE
from agora.pipeline import MISSING_TIME
from agora.systems.fraud.features import (
    AGED,
    AGED_SET,
    CLOCK,
    CODED,
    DEVIATIONS,
    DISTANCES,
    INPUTS,
    PLAIN,
    POSITIONS,
    RATIOS,
    RECENT_SETS,
    SINCE,
    WINDOW_SECONDS,
    WINDOWED,
)
from agora.systems.fraud.sequence import CHANNELS, SEQUENCE_COLUMNS, merchant_bucket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.pipeline import Columns

Array = np.ndarray[Any, Any]

EARTH_KM = 6_371.0
MICROSECONDS = 1_000_000
HOUR = 3_600 * MICROSECONDS
DAY = 24 * HOUR
# 1970-01-01 was a Thursday.
FIRST_WEEKDAY = 3
NIGHT_ENDS = 6

GATHERED = Gather((*POSITIONS, *WINDOWED, *PLAIN))
PAST = Gather(CARDS_SEQUENCE.columns)
TIMES = Gather(
    (*(feature_set.time_column for feature_set in RECENT_SETS), AGED_SET.time_column, "event_at")
)
READ = (*GATHERED.names, *PAST.names, *TIMES.names, *CODED, "merchant_id")
"""Columns that decoding reads."""

_ROW = {name: row for row, name in enumerate((*POSITIONS, *INPUTS))}
_NOW = len(_ROW) + len(PAST.names)
_WIDTH = len(POSITIONS) + len(INPUTS) + len(SEQUENCE_COLUMNS)


def _rows(names: Sequence[str]) -> Array:
    return np.array([_ROW[name] for name in names])


def _span(names: Sequence[str]) -> slice:
    return slice(_ROW[names[0]], _ROW[names[-1]] + 1)


_LATITUDE, _LONGITUDE, _AMOUNT = _ROW["latitude"], _ROW["longitude"], _ROW["amount"]
_WINDOW, _SINCE = _span(WINDOWED), _span(tuple(SINCE))
_AGED = tuple(_ROW[name] for name in AGED)
_DISTANCE, _CLOCK = _span(tuple(DISTANCES)), _span(tuple(CLOCK))
_CODED = tuple((name, _ROW[name]) for name in CODED)

_WINDOW_SET = np.array(
    [next(i for i, s in enumerate(RECENT_SETS) if name in s.columns) for name in WINDOWED]
)
_WINDOW_SECONDS = np.array([[WINDOW_SECONDS[name.rpartition("_")[2]]] for name in WINDOWED])
_COUNTS_PAYMENT = np.array([["payment_count" in name] for name in WINDOWED], float)
_SUMS_AMOUNT = np.array([["amount_sum" in name] for name in WINDOWED], float)
# Ratios, then deviations: a deviation is the amount less a mean, over a spread.
_COMPARED = _span((*(ratio.name for ratio in RATIOS), *DEVIATIONS))
_DEVIATIONS = slice(len(RATIOS), None)
_OVER = _rows(
    [ratio.numerator for ratio in RATIOS]
    + [f"{entity}_amount_mean_30d" for entity, _ in DEVIATIONS.values()]
)
_UNDER = _rows(
    [ratio.denominator for ratio in RATIOS]
    + [f"{entity}_amount_std_30d" for entity, _ in DEVIATIONS.values()]
)
_SCALE = np.array([[ratio.scale] for ratio in RATIOS] + [[1.0] for _ in DEVIATIONS])
# (latitude and longitude, from and to, distance)
_ENDS = np.array(
    [
        [[_ROW[f"{pair[end]}{axis}"] for _, *pair in DISTANCES.values()] for end in (0, 1)]
        for axis in ("latitude", "longitude")
    ]
)


def decode(columns: Columns, codes: dict[str, dict[str, float]]) -> Array:
    """The model's input, (n, len(INPUTS) + len(SEQUENCE_COLUMNS)) float64, NaN where unknown.

    Args:
        columns: Request and feature columns.
        codes: For each of `CODED`, the number that each known value was given in training.
    """
    times = TIMES(columns)
    now = times[-1]
    n = len(now)
    rows = np.empty((_WIDTH, n))
    GATHERED(columns, rows[: len(GATHERED.names)])
    ages = now - times[:-1]
    _advance_windows(rows, ages[:-1], times[:-2])
    # Without a row the days are NaN and stay so.
    days = ages[-1] / DAY
    for row in _AGED:
        rows[row] += days
    _compare(rows)
    _locate(rows)
    _tell_time(rows[_CLOCK], now)
    for name, row in _CODED:
        values = columns[name]
        if name == "channel":
            channel = values
        rows[row] = np.fromiter(map(codes[name].get, values, repeat(np.nan)), float, n)
    PAST(columns, rows[len(_ROW) : _NOW])
    present = rows[_NOW:]
    present[0] = rows[_AMOUNT]
    np.divide(now, MICROSECONDS, out=present[1])
    present[2] = np.fromiter(map(merchant_bucket, columns["merchant_id"]), float, n)
    present[3] = np.fromiter(map(CHANNELS.get, channel, repeat(np.nan)), float, n)
    present[4], present[5] = rows[_LATITUDE], rows[_LONGITUDE]
    return rows[len(POSITIONS) :].T


def learn_codes(columns: Columns, rarest: int) -> dict[str, dict[str, float]]:
    """Number each value of `CODED` by how common it is.

    Values seen fewer than `rarest` times stay unknown.
    """
    codes = {}
    for name in CODED:
        values, counts = np.unique([v for v in columns[name] if v is not None], return_counts=True)
        order = np.argsort(-counts, kind="stable")
        common = [str(values[i]) for i in order if counts[i] >= rarest]
        codes[name] = {value: float(rank) for rank, value in enumerate(common)}
    return codes


def _advance_windows(rows: Array, ages: Array, latest: Array) -> None:
    """Move the recent windows from the latest payment to this one, and add this one."""
    since = rows[_SINCE]
    np.divide(ages, MICROSECONDS, out=since)
    np.copyto(since, np.nan, where=latest == MISSING_TIME)
    window = rows[_WINDOW]
    # Without a latest payment `since` is NaN, which no window is long enough for.
    window *= since.take(_WINDOW_SET, axis=0) <= _WINDOW_SECONDS
    window += _COUNTS_PAYMENT + _SUMS_AMOUNT * rows[_AMOUNT]


def _compare(rows: Array) -> None:
    """Ratios and deviations."""
    under = rows.take(_UNDER, axis=0)
    np.copyto(under, np.nan, where=under <= 0)
    over = rows.take(_OVER, axis=0)
    deviation = over[_DEVIATIONS]
    np.subtract(rows[_AMOUNT], deviation, out=deviation)
    compared = rows[_COMPARED]
    np.divide(over, under, out=compared)
    compared *= _SCALE


def _locate(rows: Array) -> None:
    """Great-circle distances (haversine) and the speed since the latest payment."""
    ends = rows.take(_ENDS, axis=0)  # (2 axes, 2 ends, distances, n)
    ends *= np.pi / 180
    cosine = np.cos(ends[0])
    chord = ends[:, 1] - ends[:, 0]
    chord *= 0.5
    np.sin(chord, out=chord)
    chord *= chord
    half_chord = chord[1]
    half_chord *= cosine[0]
    half_chord *= cosine[1]
    half_chord += chord[0]
    # Rounding may lift the far side of the earth above 1.
    np.minimum(half_chord, 1.0, out=half_chord)
    np.sqrt(half_chord, out=half_chord)
    np.arcsin(half_chord, out=half_chord)
    np.multiply(half_chord, 2 * EARTH_KM, out=rows[_DISTANCE])
    # A minute at least: two payments in one second are not a journey at a million km/h.
    hours = np.maximum(rows[_ROW["customer_seconds_since_last"]], 60.0) / 3_600
    np.divide(rows[_ROW["distance_last"]], hours, out=rows[_ROW["speed"]])


def _tell_time(clock: Array, now: Array) -> None:
    """Hour, weekday, weekend, night; the order of `CLOCK`."""
    day, within = np.divmod(now, DAY)
    np.divide(within, HOUR, out=clock[0])
    clock[1] = (day + FIRST_WEEKDAY) % 7
    clock[2] = clock[1] >= 5  # Saturday is 5.
    clock[3] = clock[0] < NIGHT_ENDS
