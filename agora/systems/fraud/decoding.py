"""From columns to the model's input: the same numpy operations for one payment and for a million.

The matrix is built feature by feature (row by row of its transpose), in groups, so that the number
of numpy calls does not grow with the number of features: one payment takes some tens of
microseconds.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

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

GATHERED = (*POSITIONS, *WINDOWED, *PLAIN)
TIMES = tuple(feature_set.time_column for feature_set in RECENT_SETS)
READ = (*GATHERED, *TIMES, AGED_SET.time_column, "event_at", *CODED)
"""Columns that decoding reads."""

_ROW = {name: row for row, name in enumerate((*POSITIONS, *INPUTS))}


def _rows(names: Sequence[str]) -> Array:
    return np.array([_ROW[name] for name in names])


def _span(names: Sequence[str]) -> slice:
    return slice(_ROW[names[0]], _ROW[names[-1]] + 1)


_WINDOW = _span(WINDOWED)
_SINCE, _RATIO, _DEVIATION = (
    _span(tuple(SINCE)),
    _span([r.name for r in RATIOS]),
    _span(tuple(DEVIATIONS)),
)
_AGED = _rows(AGED)
_DISTANCE, _CLOCK = _span(tuple(DISTANCES)), _span(tuple(CLOCK))

_WINDOW_SET = np.array(
    [next(i for i, s in enumerate(RECENT_SETS) if name in s.columns) for name in WINDOWED]
)
_WINDOW_SECONDS = np.array([[WINDOW_SECONDS[name.rpartition("_")[2]]] for name in WINDOWED])
_COUNTS_PAYMENT = np.array([["payment_count" in name] for name in WINDOWED], float)
_SUMS_AMOUNT = np.array([["amount_sum" in name] for name in WINDOWED], float)
_NUMERATOR = _rows([ratio.numerator for ratio in RATIOS])
_DENOMINATOR = _rows([ratio.denominator for ratio in RATIOS])
_SCALE = np.array([[ratio.scale] for ratio in RATIOS])
_MEAN = _rows([f"{entity}_amount_mean_30d" for entity, _ in DEVIATIONS.values()])
_DEVIATES = _rows([f"{entity}_amount_std_30d" for entity, _ in DEVIATIONS.values()])
# (latitude and longitude, from and to, distance)
_ENDS = np.array(
    [
        [[_ROW[f"{pair[end]}{axis}"] for _, *pair in DISTANCES.values()] for end in (0, 1)]
        for axis in ("latitude", "longitude")
    ]
)


def decode(columns: Columns, codes: dict[str, dict[str, float]]) -> Array:
    """The model's input, (n, len(INPUTS)) float64, NaN where unknown.

    Args:
        columns: Request and feature columns.
        codes: For each of `CODED`, the number that each known value was given in training.
    """
    now = columns["event_at"]
    n = len(now)
    rows = np.empty((len(_ROW), n))
    np.concatenate([columns[name] for name in GATHERED], out=rows[: len(GATHERED)].reshape(-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        _advance_windows(rows, columns, now)
        # Without a row the days are NaN and stay so.
        rows[_AGED] += (now - columns[AGED_SET.time_column]) / DAY
        _compare(rows)
        _locate(rows)
    _tell_time(rows[_CLOCK], now)
    for name in CODED:
        known = codes[name]
        rows[_ROW[name]] = np.fromiter(map(known.get, columns[name], repeat(np.nan)), float, n)
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


def _advance_windows(rows: Array, columns: Columns, now: Array) -> None:
    """Move the recent windows from the latest payment to this one, and add this one."""
    n = len(now)
    latest = np.concatenate([columns[name] for name in TIMES]).reshape(len(TIMES), n)
    since = rows[_SINCE]
    np.divide(now - latest, MICROSECONDS, out=since)
    since[latest == MISSING_TIME] = np.nan
    window = rows[_WINDOW]
    # Without a latest payment `since` is NaN, which no window is long enough for.
    window *= since.take(_WINDOW_SET, axis=0) <= _WINDOW_SECONDS
    window += _COUNTS_PAYMENT + _SUMS_AMOUNT * rows[_ROW["amount"]]


def _compare(rows: Array) -> None:
    """Ratios and deviations."""
    denominator = rows.take(_DENOMINATOR, axis=0)
    denominator[denominator <= 0] = np.nan
    ratio = rows[_RATIO]
    np.divide(rows.take(_NUMERATOR, axis=0), denominator, out=ratio)
    ratio *= _SCALE
    spread = rows.take(_DEVIATES, axis=0)
    spread[spread <= 0] = np.nan
    np.divide(rows[_ROW["amount"]] - rows.take(_MEAN, axis=0), spread, out=rows[_DEVIATION])


def _locate(rows: Array) -> None:
    """Great-circle distances (haversine) and the speed since the latest payment."""
    ends = rows.take(_ENDS, axis=0)  # (2 axes, 2 ends, distances, n)
    ends *= np.pi / 180
    chord = np.sin((ends[:, 1] - ends[:, 0]) / 2)
    chord *= chord
    cosine = np.cos(ends[0])
    half_chord = chord[0] + cosine[0] * cosine[1] * chord[1]
    np.multiply(2 * EARTH_KM, np.arcsin(np.sqrt(half_chord)), out=rows[_DISTANCE])
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
