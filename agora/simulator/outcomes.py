"""What becomes known of payments: chargebacks after days or weeks, verdicts within hours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agora.simulator import geography
from agora.simulator.params import DAY, HOUR, MINUTE, SECOND
from agora.simulator.streams import stream

if TYPE_CHECKING:
    from agora.simulator.arrays import Bools, Floats, Ints, Payments
    from agora.simulator.marketplace import Marketplace

REASONS = ("fraud", "dispute")
DELAY_SHAPE = 1.6
DELAY_MEDIAN = 1.2815
"""Median of a gamma variable of that shape and scale 1."""
SOONEST = 6 * HOUR
PARTIAL_SHARE = 0.04

ANALYSTS = 12
REVIEW_HOURS = (np.log(3.0), 0.8)
REOPENED_WRONG, REOPENED_RIGHT = 0.4, 0.02
"""Verdicts that someone looks at again: complaints come from those who were judged wrongly."""
SECOND_LOOK_ACCURACY = 0.99


@dataclass(frozen=True, slots=True)
class Chargebacks:
    """Chargebacks as columns."""

    payment: Ints
    reason: Ints
    amount: Floats
    event_at: Ints
    arrived_at: Ints


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Verdicts as columns; those with the same `review` are revisions of one."""

    payment: Ints
    review: Ints
    analyst: Ints
    is_fraud: Bools
    event_at: Ints
    arrived_at: Ints


def charge_back(
    marketplace: Marketplace, payments: Payments, charged: Floats, arrived_at: Ints
) -> Chargebacks:
    """Most frauds and a few honest payments are charged back."""
    params = marketplace.params
    random = stream(params.seed, "chargebacks")
    is_fraud = payments.scheme > 0
    drawn = random.random(len(payments))
    rows = np.flatnonzero(drawn < np.where(is_fraud, params.chargeback_share, params.dispute_share))
    is_false = random.random(len(rows)) < params.friendly_fraud_share
    scale = params.chargeback_median_days / DELAY_MEDIAN * DAY
    delay = random.gamma(DELAY_SHAPE, scale, len(rows)).astype(np.int64)
    # The cardholder cannot dispute what has not been booked.
    event_at = arrived_at[rows] + np.maximum(delay, SOONEST)
    partial = random.random(len(rows)) < PARTIAL_SHARE
    amount: Floats = np.where(
        partial, charged[rows] * random.uniform(0.3, 0.9, len(rows)), charged[rows]
    )
    return Chargebacks(
        payment=rows,
        reason=np.where(is_fraud[rows] | is_false, 0, 1),
        amount=amount.round(2),
        event_at=event_at,
        arrived_at=event_at + random.integers(MINUTE, 12 * HOUR, len(rows)),
    )


def review(
    marketplace: Marketplace, payments: Payments, charged: Floats, arrived_at: Ints, born_at: Ints
) -> Verdicts:
    """Analysts look at what seems suspicious to them, and at a random few.

    Args:
        marketplace: The marketplace.
        payments: All payments, in order of time.
        charged: Their amounts.
        arrived_at: When the platform heard of them.
        born_at: When each payment's device was first seen; the payment's own time without a device.
    """
    params = marketplace.params
    random = stream(params.seed, "verdicts")
    count = len(payments)
    at_random = random.random(count) < params.review_share * params.review_random_share
    suspicion = _suspicion(marketplace, payments, charged, born_at) + random.normal(0, 0.6, count)
    capacity = params.review_share * (1 - params.review_random_share)
    chosen = at_random | (suspicion > np.quantile(suspicion, 1 - capacity))
    rows = np.flatnonzero(chosen) if params.review_share else np.empty(0, np.int64)

    truth = payments.scheme[rows] > 0
    is_right = random.random(len(rows)) < params.verdict_accuracy
    decided_at = arrived_at[rows] + (HOUR * random.lognormal(*REVIEW_HOURS, len(rows))).astype(
        np.int64
    )
    reopened = np.flatnonzero(
        random.random(len(rows)) < np.where(is_right, REOPENED_RIGHT, REOPENED_WRONG)
    )
    second = truth[reopened] == (random.random(len(reopened)) < SECOND_LOOK_ACCURACY)
    revised_at = decided_at[reopened] + random.integers(8 * HOUR, 12 * DAY, len(reopened))
    event_at = np.concatenate([decided_at, revised_at])
    return Verdicts(
        payment=np.concatenate([rows, rows[reopened]]),
        review=np.concatenate([np.arange(len(rows)), reopened]),
        analyst=random.integers(0, ANALYSTS, len(event_at)),
        is_fraud=np.concatenate([truth == is_right, second]),
        event_at=event_at,
        arrived_at=event_at + random.integers(SECOND, 5 * MINUTE, len(event_at)),
    )


def _suspicion(
    marketplace: Marketplace, payments: Payments, charged: Floats, born_at: Ints
) -> Floats:
    """What an analyst sees: amount against habit, another country, new device, hurry."""
    customer = payments.customer
    logs = np.log(np.maximum(charged, 0.01))
    visits = np.bincount(customer)
    mean = np.bincount(customer, weights=logs) / np.maximum(visits, 1)
    home = marketplace.customers.home_at(customer, payments.event_at)
    is_foreign = geography.COUNTRY_OF[home] != geography.COUNTRY_OF[payments.city]
    is_new = (payments.device >= 0) & (payments.event_at - born_at < DAY)
    order = np.lexsort((payments.event_at, customer))
    gap = np.diff(payments.event_at[order], prepend=0)
    follows = np.diff(customer[order], prepend=-1) == 0
    hurried = np.zeros(len(customer), dtype=bool)
    hurried[order] = follows & (gap < 10 * MINUTE)
    score: Floats = logs - mean[customer] + 0.9 * is_foreign + 0.8 * is_new + 0.5 * hurried
    return score
