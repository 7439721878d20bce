"""The card's recent payments as steps of a sequence, seen from the present payment.

Behind the light model's inputs the decoded matrix carries the past payments as `cards__sequence`
gives them, newest first, and the present one in the same fields. They stay raw there: what is
computed from them here is computed for the rows that the network really judges.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import md5
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from agora.pipeline import Columns

Array = np.ndarray[Any, Any]

LENGTH = 16
FIELDS = ("amount", "event_at", "merchant", "channel", "latitude", "longitude")
PAST_COLUMNS = tuple(f"card_{field}_{k}" for field in FIELDS for k in range(1, LENGTH + 1))
PRESENT_COLUMNS = (
    "amount", "event_at", "merchant_bucket", "channel_code", "latitude", "longitude"
)  # fmt: skip
SEQUENCE_COLUMNS = (*PAST_COLUMNS, *PRESENT_COLUMNS)
"""What follows the light model's inputs in the decoded matrix, in this order."""

BUCKETS = 1_024  # Of merchants: as in `cards__sequence`.
UNKNOWN = BUCKETS  # The bucket of a step without a merchant.
CHANNELS = {"web": 0.0, "app": 1.0, "in_store": 2.0}  # As in `cards__sequence`.
MICROSECONDS = 1_000_000
DAY = 86_400.0
EARTH_KM = 6_371.0
HIGH = 2.5  # Times the card's median amount: a leaked card pays several times the usual.
HIGH_DAYS = np.array([1.0, 3.0, 7.0, 14.0])[:, None, None]

STEP_INPUTS = (
    "amount", "amount_ratio", "gap_to_now", "gap_before", "time_of_day_apart",
    "same_merchant", "is_web", "is_app", "is_in_store", "same_channel",
    "distance", "place_known", "is_now",
)  # fmt: skip
SUMMARIES = (
    "steps", "amount_over_median", "largest_over_median",
    "high_1d", "high_3d", "high_7d", "high_14d", "days_since_high",
    "payments_1h", "payments_1d", "same_merchant", "hour_sine", "hour_cosine",
)  # fmt: skip
"""Of the sequence as a whole."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Sequences of n payments; step 0 is the present payment.

    Attributes:
        inputs: (n, LENGTH + 1, len(STEP_INPUTS)); 0 where unknown.
        merchants: Buckets, (n, LENGTH + 1) int64.
        known: Steps that there are, (n, LENGTH + 1) bool; the present one always is.
        summary: (n, len(SUMMARIES)); NaN where unknown.
    """

    inputs: Array
    merchants: Array
    known: Array
    summary: Array


@lru_cache(maxsize=1 << 16)
def merchant_bucket(merchant_id: str | None) -> float:
    """The bucket that `cards__sequence` gives the merchant."""
    if merchant_id is None:
        return np.nan
    digest = md5(merchant_id.encode(), usedforsecurity=False).hexdigest()
    return float(int(digest[:8], 16) % BUCKETS)


def request_columns(columns: Columns) -> Array:
    """The present payment in `PRESENT_COLUMNS`, (n, 6)."""
    n = len(columns["event_at"])
    found = np.empty((len(PRESENT_COLUMNS), n))
    found[0] = columns["amount"]
    np.divide(columns["event_at"], MICROSECONDS, out=found[1])
    found[2] = np.fromiter(map(merchant_bucket, columns["merchant_id"]), float, n)
    found[3] = np.fromiter(map(CHANNELS.get, columns["channel"], repeat(np.nan)), float, n)
    found[4] = columns["latitude"]
    found[5] = columns["longitude"]
    return found.T


def steps(sequence: Array) -> Steps:
    """Steps of raw rows in `SEQUENCE_COLUMNS`."""
    n, past = len(sequence), len(PAST_COLUMNS)
    fields = np.empty((len(FIELDS), n, LENGTH + 1))
    fields[:, :, 1:] = sequence[:, :past].reshape(n, len(FIELDS), LENGTH).swapaxes(0, 1)
    fields[:, :, 0] = sequence[:, past:].T
    amount, at, merchant, channel = fields[:4]
    inputs = np.zeros((n, LENGTH + 1, len(STEP_INPUTS)))
    by = inputs.transpose(2, 0, 1)
    known = at == at  # NaN is not equal to itself.
    # A clock that lags makes no negative time.
    gap = np.maximum(at[:, :1] - at, 0.0)
    np.log1p(np.maximum(amount, 0.0), out=by[0])
    np.subtract(by[0][:, :1], by[0], out=by[1])
    np.log1p(gap, out=by[2])
    np.log1p(np.maximum(at[:, :-1] - at[:, 1:], 0.0), out=by[3][:, :-1])
    np.cos(gap * (2 * np.pi / DAY), out=by[4])
    by[5] = merchant == merchant[:, :1]
    by[6], by[7], by[8] = channel == 0, channel == 1, channel == 2
    by[9] = channel == channel[:, :1]
    distance = _distance(fields[4], fields[5])
    np.log1p(distance, out=by[10])
    by[11] = distance == distance
    by[12][:, 0] = 1.0
    np.nan_to_num(inputs, copy=False)
    merchants = np.where(merchant == merchant, merchant, UNKNOWN).astype(np.int64)
    return Steps(inputs, merchants, known, _summary(amount, gap, at, merchants, known))


def _distance(latitude: Array, longitude: Array) -> Array:
    """Kilometres of each step's place from the present one's (haversine)."""
    north, east = np.radians(latitude), np.radians(longitude)
    chord = (
        np.sin((north - north[:, :1]) / 2) ** 2
        + np.cos(north) * np.cos(north[:, :1]) * np.sin((east - east[:, :1]) / 2) ** 2
    )
    return np.asarray(2 * EARTH_KM * np.arcsin(np.sqrt(np.minimum(chord, 1.0))))


def _summary(amount: Array, gap: Array, at: Array, merchants: Array, known: Array) -> Array:
    """What trees would count over the past steps."""
    n = len(amount)
    past, since = amount[:, 1:], gap[:, 1:] / DAY
    count = known[:, 1:].sum(axis=1)
    # NaN is sorted last: the lower median is among the first.
    middle = np.maximum(count - 1, 0) // 2
    median = np.sort(past, axis=1)[np.arange(n), middle]
    median[~(median > 0)] = np.nan
    high = past > HIGH * median[:, None]
    found = np.empty((len(SUMMARIES), n))
    found[0] = count
    np.divide(amount[:, 0], median, out=found[1])
    np.divide(np.fmax.reduce(past, axis=1), median, out=found[2])
    found[3:7] = (high & (since <= HIGH_DAYS)).sum(axis=2)
    lowest = np.where(high, since, np.inf).min(axis=1)
    found[7] = np.where(lowest < np.inf, lowest, np.nan)
    found[8] = (since <= 1 / 24).sum(axis=1)
    found[9] = (since <= 1.0).sum(axis=1)
    found[10] = (merchants[:, 1:] == merchants[:, :1]).sum(axis=1)
    turn = at[:, 0] % DAY * (2 * np.pi / DAY)
    np.sin(turn, out=found[11])
    np.cos(turn, out=found[12])
    return found.T
