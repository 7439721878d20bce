"""Honest payments: who buys when, where, from whom and for how much."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agora.simulator import geography, seasons
from agora.simulator.arrays import (
    APP,
    IN_STORE,
    WEB,
    Bools,
    Floats,
    Ints,
    Payments,
    weighted,
)
from agora.simulator.catalogue import IN_STORE_SHARE, PRICE
from agora.simulator.params import DAY, HOUR, MINUTE
from agora.simulator.people import TRIP_BLOCK
from agora.simulator.streams import stream

if TYPE_CHECKING:
    from agora.simulator.marketplace import Marketplace

FAVOURITES = 12
FAVOURITE_SHARE = 0.78
FOLLOWER_SHARE = 0.06
"""Payments that follow another of the same customer within minutes: honest bursts."""
TRIP_FACTOR = 1.3
PRICE_WEIGHT = 0.35
"""How far a category's prices move what a customer spends: people shop within their means."""

# Honest payments that look odd, so that no single sign of fraud is a proof.
FRESH_ON_TRIPS = 0.1
GIFT_SHARE, GIFT_SPREAD = 0.004, (0.7, 1.6)


def spend(marketplace: Marketplace, count: int) -> Payments:
    """`count` honest payments, in no order. Devices beyond the known ones are first seen here."""
    params, customers = marketplace.params, marketplace.customers
    event_at, customer = _who_and_when(marketplace, count)
    block = np.clip((event_at - params.start_at) // (TRIP_BLOCK * DAY), 0, None)
    city, away = customers.location_at(customer, event_at, block)
    merchant = _merchants(marketplace, event_at, customer, city, away)
    channel, device = _channels(marketplace, event_at, customer, merchant, city, away)

    random = stream(params.seed, "amounts")
    category = marketplace.merchants.category[merchant]
    wanted = np.exp(
        customers.level[customer]
        + customers.spread[customer] * random.standard_normal(count)
        + PRICE_WEIGHT * np.log(PRICE / 30.0)[category]
    )
    wanted *= np.where(away, TRIP_FACTOR, 1.0)
    gift = random.random(count) < GIFT_SHARE
    wanted = np.where(gift, wanted * np.exp(random.uniform(*GIFT_SPREAD, count)), wanted)
    hidden = (channel != IN_STORE) & (random.random(count) < customers.hidden_share[customer])
    return Payments(
        event_at=event_at,
        customer=customer,
        card=_cards(marketplace, event_at, customer),
        merchant=merchant,
        device=device,
        wanted=wanted,
        channel=channel,
        city=np.where(hidden, geography.foreign_cities(random, city), city),
        scheme=np.zeros(count, dtype=np.int64),
        campaign=np.full(count, -1, dtype=np.int64),
    )


def draw_customers(
    random: np.random.Generator, marketplace: Marketplace, joined_before: Ints
) -> Ints:
    """A customer for each moment, by how often they pay, among those who joined before it."""
    customers = marketplace.customers
    present = np.maximum(np.searchsorted(customers.joined_at, joined_before), 1)
    return weighted(random, customers.cumulative, np.zeros_like(present), present)


def opened(random: np.random.Generator, marketplace: Marketplace, merchant: Ints, at: Ints) -> Ints:
    """The merchants, each that has not been open for an hour replaced by one that has."""
    merchants = marketplace.merchants
    is_closed = merchants.joined_at[merchant] + HOUR > at
    old = np.flatnonzero(merchants.joined_at < marketplace.params.start_at)
    cumulative = np.concatenate([[0.0], np.cumsum(np.diff(merchants.cumulative)[old])])
    count = int(is_closed.sum())
    merchant = merchant.copy()
    merchant[is_closed] = old[
        weighted(random, cumulative, np.zeros(count, np.int64), np.full(count, len(old)))
    ]
    return merchant


def _who_and_when(marketplace: Marketplace, count: int) -> tuple[Ints, Ints]:
    params, customers = marketplace.params, marketplace.customers
    random = stream(params.seed, "seasons")
    per_day = random.multinomial(count, seasons.day_weights(random, params))
    day = np.repeat(np.arange(params.days), per_day)
    local = params.start_at + day * DAY + seasons.times_of_day(random, params, day)
    # Time zones may move a payment by up to a day and a half: who pays must exist by then.
    customer = draw_customers(random, marketplace, local - 36 * HOUR)
    ahead = geography.HOURS_AHEAD[customers.home_at(customer, local)] * HOUR
    event_at = seasons.into_span(params, local - ahead)

    followers = np.flatnonzero(random.random(count) < FOLLOWER_SHARE)
    leaders = random.integers(0, max(count, 1), len(followers))
    later = event_at[leaders] + random.exponential(8 * MINUTE, len(leaders)).astype(np.int64)
    within = later < params.end_at
    event_at[followers[within]] = later[within]
    customer[followers[within]] = customer[leaders[within]]
    return event_at, customer


def _merchants(
    marketplace: Marketplace, event_at: Ints, customer: Ints, city: Ints, away: Bools
) -> Ints:
    customers, merchants = marketplace.customers, marketplace.merchants
    random = stream(marketplace.params.seed, "favourites")
    favourites = merchants.near(random, np.repeat(customers.city, FAVOURITES))
    # A power of a uniform number: the first favourites are visited most.
    slot = (FAVOURITES * random.random(len(customer)) ** 2.2).astype(np.int64)
    keeps = ~away & (random.random(len(customer)) < FAVOURITE_SHARE)
    merchant = np.where(
        keeps, favourites[customer * FAVOURITES + slot], merchants.near(random, city)
    )
    return opened(random, marketplace, merchant, event_at)


def _channels(
    marketplace: Marketplace,
    event_at: Ints,
    customer: Ints,
    merchant: Ints,
    city: Ints,
    away: Bools,
) -> tuple[Ints, Ints]:
    merchants, devices = marketplace.merchants, marketplace.devices
    random = stream(marketplace.params.seed, "channels")
    is_here = merchants.city[merchant] == city
    terminals = IN_STORE_SHARE[merchants.category[merchant]] + np.where(away, 0.5, 0.1)
    in_store = is_here & (random.random(len(city)) < terminals)
    partner = marketplace.customers.partner[customer]
    lends = (partner >= 0) & (random.random(len(city)) < 0.3)
    owner = np.where(lends, partner, customer)
    # Half of the payments on the first device, the others spread over what exists.
    slot = np.where(random.random(len(city)) < 0.5, 0, random.integers(0, 3, len(city)))
    device = devices.pick(owner, event_at, slot)
    fresh_share = marketplace.customers.fresh_share[customer]
    is_new = random.random(len(city)) < np.where(away, FRESH_ON_TRIPS, fresh_share)
    device = np.where(is_new, len(devices.created_at) + np.arange(len(city)), device)
    is_mobile = np.where(is_new, True, devices.kind[np.where(is_new, 0, device)] != 1)
    by_app = is_mobile & (random.random(len(city)) < 0.55)
    channel = np.where(in_store, IN_STORE, np.where(by_app, APP, WEB))
    return channel, np.where(in_store, -1, device)


def _cards(marketplace: Marketplace, event_at: Ints, customer: Ints) -> Ints:
    random = stream(marketplace.params.seed, "card choice")
    return marketplace.cards.pick(
        customer, event_at, (random.random(len(customer)) < 0.35).astype(np.int64)
    )


def personal_amounts(
    random: np.random.Generator, marketplace: Marketplace, customer: Ints
) -> Floats:
    """What these customers usually spend."""
    customers = marketplace.customers
    usual: Floats = np.exp(
        customers.level[customer]
        + customers.spread[customer] * random.standard_normal(len(customer))
    )
    return usual
