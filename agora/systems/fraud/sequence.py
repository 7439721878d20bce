"""The card's recent payments as steps of a sequence, seen from the present payment.

Behind the light model's inputs the decoded matrix carries the past payments as `cards__sequence`
gives them, newest first, and the present one in the same fields. They stay raw there: what is
computed from them here is computed for the rows that the network really judges.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.entities import sequences
from agora.entities.cards import CARDS_SEQUENCE, SEQUENCE_LENGTH

if TYPE_CHECKING:
    from agora.pipeline import Columns

Array = np.ndarray[Any, Any]

LENGTH = SEQUENCE_LENGTH
PRESENT_COLUMNS = (
    "amount", "event_at", "merchant_bucket", "channel_code", "latitude", "longitude"
)  # fmt: skip
"""The present payment in the fields of a past one."""
FIELDS = len(PRESENT_COLUMNS)
SEQUENCE_COLUMNS = (*CARDS_SEQUENCE.columns, *PRESENT_COLUMNS)
"""What follows the light model's inputs in the decoded matrix, in this order."""

CHANNELS = {name: float(code) for code, name in enumerate(sequences.CHANNELS)}
MICROSECONDS = 1_000_000
DAY = 86_400.0
EARTH_KM = 6_371.0
HIGH = 2.5  # Times the card's median amount: a leaked card pays several times the usual.
HIGH_DAYS = np.array([1.0, 3.0, 7.0, 14.0])[:, None, None]
SHORT_DAYS = np.array([1 / 24, 1.0])[:, None, None]
_CODES = np.array(list(CHANNELS.values()))[:, None, None]

# The first four are logarithms.
STEP_INPUTS = (
    "amount", "gap_to_now", "gap_before", "distance", "amount_ratio", "time_of_day_apart",
    "same_merchant", "is_web", "is_app", "is_in_store", "same_channel", "place_known", "is_now",
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
        known: Steps that there are, (n, LENGTH + 1) bool; the present one always is.
        summary: (n, len(SUMMARIES)); NaN where unknown.
    """

    inputs: Array
    known: Array
    summary: Array


@lru_cache(maxsize=1 << 16)
def merchant_bucket(merchant_id: str | None) -> float:
    """The bucket that `cards__sequence` gives the merchant."""
    return np.nan if merchant_id is None else float(sequences.merchant_bucket(merchant_id))


def request_columns(columns: Columns) -> Array:
    """The present payment in `PRESENT_COLUMNS`, (n, 6)."""
    n = len(columns["event_at"])
    found = np.empty((FIELDS, n))
    found[0] = columns["amount"]
    np.divide(columns["event_at"], MICROSECONDS, out=found[1])
    found[2] = np.fromiter(map(merchant_bucket, columns["merchant_id"]), float, n)
    found[3] = np.fromiter(map(CHANNELS.get, columns["channel"], repeat(np.nan)), float, n)
    found[4] = columns["latitude"]
    found[5] = columns["longitude"]
    return found.T


def steps(sequence: Array) -> Steps:
    """Steps of raw rows in `SEQUENCE_COLUMNS`."""
    n = len(sequence)
    fields = np.empty((FIELDS, n, LENGTH + 1))
    fields[:, :, 1:] = sequence[:, :-FIELDS].reshape(n, LENGTH, FIELDS).transpose(2, 0, 1)
    fields[:, :, 0] = sequence[:, -FIELDS:].T
    amount, at, merchant, channel = fields[:4]
    unknown = fields != fields  # NaN is not equal to itself.
    known = ~unknown[1]
    found = np.zeros((len(STEP_INPUTS), n, LENGTH + 1))
    logs, gap = found[:4], found[1]
    logs[0] = amount
    np.subtract(at[:, :1], at, out=gap)
    # The older of two steps ends the gap before the newer.
    np.subtract(at[:, :-1], at[:, 1:], out=logs[2][:, :-1])
    logs[3] = _distance(fields[4], fields[5])
    # A clock that lags makes no negative time.
    np.maximum(logs, 0.0, out=logs)
    summary = _summary(amount, gap / DAY, at[:, 0], merchant, known)
    np.cos(gap * (2 * np.pi / DAY), out=found[5])
    np.log1p(logs, out=logs)
    np.subtract(logs[0][:, :1], logs[0], out=found[4])
    np.equal(merchant, merchant[:, :1], out=found[6])
    np.equal(channel, _CODES, out=found[7:10])
    np.equal(channel, channel[:, :1], out=found[10])
    np.logical_not(unknown[4], out=found[11])
    found[12][:, 0] = 1.0
    found[found != found] = 0.0
    return Steps(found.transpose(1, 2, 0), known, summary)


def _distance(latitude: Array, longitude: Array) -> Array:
    """Kilometres of each step's place from the present one's (haversine)."""
    north, east = np.radians(latitude), np.radians(longitude)
    chord = (
        np.sin((north - north[:, :1]) / 2) ** 2
        + np.cos(north) * np.cos(north[:, :1]) * np.sin((east - east[:, :1]) / 2) ** 2
    )
    return np.asarray(2 * EARTH_KM * np.arcsin(np.sqrt(np.minimum(chord, 1.0))))


def _summary(amount: Array, days: Array, now: Array, merchant: Array, known: Array) -> Array:
    """What trees would count over the past steps."""
    n = len(amount)
    past, since = amount[:, 1:], days[:, 1:]
    found = np.empty((len(SUMMARIES), n))
    known[:, 1:].sum(axis=1, out=found[0])
    # NaN is sorted last: the lower median is among the first.
    middle = np.maximum(found[0].astype(np.int64) - 1, 0) // 2
    median = np.sort(past, axis=1)[np.arange(n), middle]
    median[~(median > 0)] = np.nan
    high = past > HIGH * median[:, None]
    np.divide(amount[:, 0], median, out=found[1])
    np.divide(np.fmax.reduce(past, axis=1), median, out=found[2])
    (high & (since <= HIGH_DAYS)).sum(axis=2, out=found[3:7])
    found[7] = np.where(high, since, np.inf).min(axis=1)
    found[7][found[7] == np.inf] = np.nan
    (since <= SHORT_DAYS).sum(axis=2, out=found[8:10])
    (merchant[:, 1:] == merchant[:, :1]).sum(axis=1, out=found[10])
    turn = now % DAY * (2 * np.pi / DAY)
    np.sin(turn, out=found[11])
    np.cos(turn, out=found[12])
    return found.T
