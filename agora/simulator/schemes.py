"""The fraud schemes. Two turn honest payments into frauds, three add payments of their own.

Each takes a span of time and a number of frauds; most work in campaigns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agora.simulator import geography
from agora.simulator.arrays import APP, IN_STORE, WEB, Bools, Floats, Ints, Payments
from agora.simulator.catalogue import GAMES
from agora.simulator.params import DAY, HOUR, MINUTE
from agora.simulator.spending import draw_customers, opened, personal_amounts

if TYPE_CHECKING:
    from agora.simulator.marketplace import Marketplace

Span = tuple[int, int]

UNUSUAL_FACTOR = (1.95, 0.4)
"""Mean and deviation of the logarithm: about 7 times what the customer spends."""
NIGHT_WEIGHT = 6.0
"""How much likelier a payment of the small hours is taken: the owner sleeps."""

MERCHANT_DAYS = (14, 36)
MERCHANT_SHARE = 0.5
MERCHANT_FACTOR = (0.9, 0.35)

CARD_DAYS = 14
CARD_FRAUDS, CARD_BURSTS = 8, 3
CARD_FACTOR = (1.4, 0.4)

TAKEOVER_FRAUDS = 4
TAKEOVER_FACTOR = (1.2, 0.45)
OLD_ACCOUNT = 60 * DAY

TESTING_FRAUDS = 20
TESTING_AMOUNT = (1.0, 0.6)

FOREIGN_SHARE = 0.65
"""Thieves who do not hide behind a connection in the victim's country."""
DEVICE_REUSE = 0.75
"""Devices for each campaign: some thieves come back on a device that they used before."""


def unusual_amounts(
    random: np.random.Generator, payments: Payments, free: Bools, count: int
) -> tuple[Ints, Floats]:
    """Rows that become frauds, and their amounts: an order far beyond the customer's means."""
    rows = np.flatnonzero(free & (payments.channel != IN_STORE))
    ahead = geography.HOURS_AHEAD[payments.city[rows]] * HOUR
    is_night = (payments.event_at[rows] + ahead) % DAY < 6 * HOUR
    # The smallest of exponential waiting times are a weighted draw without repetition.
    waits = random.exponential(1.0, len(rows)) / np.where(is_night, NIGHT_WEIGHT, 1.0)
    rows = rows[np.argsort(waits, kind="stable")[:count]]
    return rows, payments.wanted[rows] * random.lognormal(*UNUSUAL_FACTOR, len(rows))


def compromised_merchants(
    random: np.random.Generator, payments: Payments, free: Bools, count: int, span: Span
) -> tuple[Ints, Floats]:
    """Rows that become frauds, and their amounts: half of what some shops take for weeks."""
    merchants = int(payments.merchant.max(initial=-1)) + 1
    begins = random.integers(span[0] - 7 * DAY, span[1], merchants)
    ends = begins + random.integers(MERCHANT_DAYS[0] * DAY, MERCHANT_DAYS[1] * DAY, merchants)
    rank = random.permutation(merchants)
    exposed = free & (payments.channel != IN_STORE)
    exposed &= payments.event_at >= begins[payments.merchant]
    exposed &= payments.event_at < ends[payments.merchant]
    rows = np.flatnonzero(exposed & (random.random(len(payments)) < MERCHANT_SHARE))
    # Merchant by merchant, until there are enough: few campaigns, each whole.
    order = np.lexsort((payments.event_at[rows], rank[payments.merchant[rows]]))
    rows = rows[order[:count]]
    return rows, payments.wanted[rows] * random.lognormal(*MERCHANT_FACTOR, len(rows))


def compromised_cards(
    random: np.random.Generator, marketplace: Marketplace, count: int, span: Span
) -> Payments:
    """Two weeks on someone else's card: bursts within minutes, a third multiplied."""
    campaign, middle = _campaigns(random, count, CARD_FRAUDS, span)
    # Both edges of the span cut campaigns off, so that frauds do not pile up at its end.
    begins = np.maximum(middle - CARD_DAYS * DAY // 2, span[0])
    latest = np.minimum(middle + CARD_DAYS * DAY // 2, span[1])
    victim = draw_customers(random, marketplace, begins - 2 * DAY)
    burst = begins[:, None] + (
        random.random((len(begins), CARD_BURSTS)) * (latest - begins)[:, None]
    ).astype(np.int64)
    event_at = burst[campaign, random.integers(0, CARD_BURSTS, count)]
    event_at = event_at + random.exponential(4 * MINUTE, count).astype(np.int64)
    factor = np.where(
        random.random(count) < 1 / 3,
        random.lognormal(*CARD_FACTOR, count),
        random.lognormal(0.1, 0.3, count),
    )
    return _payments(
        random, marketplace, span, campaign, victim[campaign], event_at, factor, own_device=0.3
    )


def account_takeovers(
    random: np.random.Generator, marketplace: Marketplace, count: int, span: Span
) -> Payments:
    """An old account on a new device: several high payments within an hour."""
    campaign, begins = _campaigns(random, count, TAKEOVER_FRAUDS, span)
    victim = draw_customers(random, marketplace, begins - OLD_ACCOUNT)
    event_at = begins[campaign] + random.integers(0, HOUR, count)
    factor = random.lognormal(*TAKEOVER_FACTOR, count)
    return _payments(
        random, marketplace, span, campaign, victim[campaign], event_at, factor, own_device=0.0
    )


def card_testing(
    random: np.random.Generator, marketplace: Marketplace, count: int, span: Span
) -> Payments:
    """Many stolen cards tried on one device with small amounts, to see which still work."""
    campaign, begins = _campaigns(random, count, TESTING_FRAUDS, span)
    victim = draw_customers(random, marketplace, begins[campaign] - 2 * DAY)
    event_at = begins[campaign] + random.integers(0, 40 * MINUTE, count)
    payments = _payments(
        random, marketplace, span, campaign, victim, event_at, np.ones(count), own_device=0.0
    )
    merchants = marketplace.merchants
    digital = np.flatnonzero(merchants.category == GAMES)
    if len(digital):
        favourite = digital[random.integers(0, len(digital), len(begins))]
        chosen = opened(random, marketplace, favourite[campaign], payments.event_at)
        payments = payments.changed(merchant=chosen)
    return payments.changed(
        wanted=random.lognormal(*TESTING_AMOUNT, count), channel=np.full(count, WEB)
    )


def _campaigns(random: np.random.Generator, count: int, size: int, span: Span) -> tuple[Ints, Ints]:
    """Campaign of each fraud, and when each campaign begins."""
    campaigns = max(1, round(count / size))
    # The last hour is left free, so that what begins in the span also ends in it.
    begins = random.integers(span[0], max(span[1] - HOUR, span[0] + 1), campaigns)
    return random.integers(0, campaigns, count), begins


def _payments(
    random: np.random.Generator,
    marketplace: Marketplace,
    span: Span,
    campaign: Ints,
    victim: Ints,
    event_at: Ints,
    factor: Floats,
    own_device: float,
) -> Payments:
    """Payments of campaigns: one place and one device for each, online, at any shop."""
    count, campaigns = len(campaign), int(campaign.max(initial=0)) + 1
    event_at = np.minimum(event_at, span[1] - 1 - random.integers(0, MINUTE, count))
    event_at = np.maximum(event_at, span[0])
    home = marketplace.customers.home_at(victim, event_at)
    abroad = geography.foreign_cities(random, geography.cities(random, campaigns))
    is_foreign = random.random(campaigns) < FOREIGN_SHARE
    city = np.where(is_foreign[campaign], abroad[campaign], home)
    devices = random.integers(0, max(1, round(campaigns * DEVICE_REUSE)), campaigns)
    spoofs = (random.random(campaigns) < own_device)[campaign]
    known = marketplace.devices.pick(victim, event_at, np.zeros(count, np.int64))
    merchant = opened(random, marketplace, marketplace.merchants.near(random, city), event_at)
    return Payments(
        event_at=event_at,
        customer=victim,
        card=marketplace.cards.pick(
            victim, event_at, (random.random(count) < 0.35).astype(np.int64)
        ),
        merchant=merchant,
        device=np.where(spoofs, known, len(marketplace.devices.created_at) + devices[campaign]),
        wanted=personal_amounts(random, marketplace, victim) * factor,
        channel=np.where(random.random(count) < 0.35, APP, WEB),
        city=city,
        scheme=np.zeros(count, dtype=np.int64),
        campaign=campaign,
    )
