"""Customers with their habits, cards and devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agora.simulator import geography
from agora.simulator.catalogue import joining_times
from agora.simulator.params import DAY, MINUTE
from agora.simulator.streams import stream

if TYPE_CHECKING:
    from agora.simulator.arrays import Bools, Floats, Ints
    from agora.simulator.params import Params

NETWORKS = ("visa", "mastercard", "amex", "other")
FUNDINGS = ("debit", "credit", "prepaid")
KINDS = ("mobile", "desktop", "tablet")
SYSTEMS = (("android", "ios"), ("windows", "macos"), ("ipados", "android"))

MOVER_SHARE = 0.03
HOUSEHOLD_SHARE = 0.18
HABIT_SHARE = 0.03
HIDDEN_SHARES, FRESH_SHARES = (0.6, 0.004), (0.5, 0.003)
"""Of those with the habit, of the others: a sign of fraud in one is normal in another."""
TRIP_SHARE = 0.20
TRIP_BLOCK = 45
"""Days: each customer travels at most once in each block, with probability `TRIP_SHARE`."""


@dataclass(frozen=True, slots=True)
class Customers:
    """Customers, sorted by the time they joined.

    Attributes:
        joined_at: When, microseconds UTC.
        city: Home.
        latitude: Degrees north of the home.
        longitude: Degrees east of the home.
        moved_at: When the home changed; the end when it did not.
        new_city: Home from then on.
        new_latitude: Degrees north of the new home.
        new_longitude: Degrees east of the new home.
        level: Mean of the logarithm of the amounts.
        spread: Standard deviation of the same.
        cumulative: Running sum of how often each pays, with a leading 0.
        hidden_share: How often each pays through a connection in another country.
        fresh_share: How often each looks like a new device: private browsing, a borrowed phone.
        partner: Someone of the same household whose device is shared, -1 for nobody.
        trip_from: (customers, blocks) start of the trip, the end when there is none.
        trip_to: (customers, blocks) end of the trip.
        trip_city: (customers, blocks) destination.
    """

    joined_at: Ints
    city: Ints
    latitude: Floats
    longitude: Floats
    moved_at: Ints
    new_city: Ints
    new_latitude: Floats
    new_longitude: Floats
    level: Floats
    spread: Floats
    cumulative: Floats
    hidden_share: Floats
    fresh_share: Floats
    partner: Ints
    trip_from: Ints
    trip_to: Ints
    trip_city: Ints

    def __len__(self) -> int:
        return len(self.joined_at)

    def home_at(self, customer: Ints, moment: Ints) -> Ints:
        """City where each customer lives at each moment."""
        moved = moment >= self.moved_at[customer]
        return np.where(moved, self.new_city[customer], self.city[customer])

    def location_at(self, customer: Ints, moment: Ints, block: Ints) -> tuple[Ints, Bools]:
        """City where each customer is, and whether on a trip."""
        away = (moment >= self.trip_from[customer, block]) & (
            moment < self.trip_to[customer, block]
        )
        return np.where(away, self.trip_city[customer, block], self.home_at(customer, moment)), away


@dataclass(frozen=True, slots=True)
class Belongings:
    """Cards or devices: those of customer c are the positions [first[c], first[c + 1])."""

    created_at: Ints
    customer: Ints
    kind: Ints
    variant: Ints
    first: Ints

    def pick(self, customer: Ints, moment: Ints, wanted: Ints) -> Ints:
        """The wanted-th of each customer's things; the first when there is no such thing yet."""
        place = self.first[customer] + wanted
        exists = place < self.first[customer + 1]
        place = np.where(exists, place, self.first[customer])
        return np.where(self.created_at[place] + MINUTE <= moment, place, self.first[customer])


def make_customers(params: Params) -> Customers:
    """Customers with home, spending profile, household and trips."""
    random = stream(params.seed, "customers")
    count = params.customers
    joined_at = np.sort(joining_times(random, params, count))
    city, new_city = geography.cities(random, count), geography.cities(random, count)
    latitude, longitude = geography.scatter(random, city, geography.HOME_SPREAD)
    new_latitude, new_longitude = geography.scatter(random, new_city, geography.HOME_SPREAD)
    moment = random.integers(params.start_at, params.end_at, count)
    moves = (random.random(count) < MOVER_SHARE) & (moment > joined_at + DAY)
    trip_from, trip_to, trip_city = _trips(params, count)
    return Customers(
        joined_at=joined_at,
        city=city,
        latitude=latitude,
        longitude=longitude,
        moved_at=np.where(moves, moment, params.end_at),
        new_city=new_city,
        new_latitude=new_latitude,
        new_longitude=new_longitude,
        level=random.normal(np.log(34.0), 0.6, count),
        spread=random.uniform(0.25, 0.5, count),
        cumulative=np.concatenate([[0.0], np.cumsum(random.gamma(1.6, 1.0, count) + 0.05)]),
        hidden_share=np.where(random.random(count) < HABIT_SHARE, *HIDDEN_SHARES),
        fresh_share=np.where(random.random(count) < HABIT_SHARE, *FRESH_SHARES),
        partner=_partners(random, city),
        trip_from=trip_from,
        trip_to=trip_to,
        trip_city=trip_city,
    )


def _partners(random: np.random.Generator, city: Ints) -> Ints:
    """For some customers, one of the same city who joined earlier."""
    order = np.argsort(city, kind="stable")
    previous = np.full(len(city), -1, dtype=np.int64)
    previous[order[1:]] = np.where(city[order[1:]] == city[order[:-1]], order[:-1], -1)
    return np.where(random.random(len(city)) < HOUSEHOLD_SHARE, previous, -1)


def _trips(params: Params, count: int) -> tuple[Ints, Ints, Ints]:
    random = stream(params.seed, "trips")
    blocks = -(-params.days // TRIP_BLOCK)
    shape = (count, blocks)
    opens = params.start_at + np.arange(blocks) * TRIP_BLOCK * DAY
    begins = opens + random.integers(0, (TRIP_BLOCK - 12) * DAY, shape)
    begins = np.where(random.random(shape) < TRIP_SHARE, begins, params.end_at)
    ends = begins + random.integers(2 * DAY, 12 * DAY, shape)
    return begins, ends, geography.cities(random, count * blocks).reshape(shape)


def make_cards(params: Params, customers: Customers) -> Belongings:
    """One card for each customer, two for every third."""
    random = stream(params.seed, "cards")
    counts = 1 + (random.random(len(customers)) < 0.35)
    cards = _belongings(random, customers, counts, mean_days=400)
    return Belongings(
        *cards,
        kind=random.choice(len(NETWORKS), len(cards[1]), p=(0.48, 0.38, 0.08, 0.06)),
        variant=random.choice(len(FUNDINGS), len(cards[1]), p=(0.55, 0.40, 0.05)),
        first=np.concatenate([[0], np.cumsum(counts)]),
    )


def make_devices(params: Params, customers: Customers) -> Belongings:
    """One to three devices for each customer; the later ones may be bought while we watch."""
    random = stream(params.seed, "devices")
    counts = random.choice((1, 2, 3), len(customers), p=(0.45, 0.38, 0.17))
    devices = _belongings(random, customers, counts, mean_days=250)
    return Belongings(
        *devices,
        kind=random.choice(len(KINDS), len(devices[1]), p=(0.60, 0.30, 0.10)),
        variant=random.integers(0, 2, len(devices[1])),
        first=np.concatenate([[0], np.cumsum(counts)]),
    )


def _belongings(
    random: np.random.Generator, customers: Customers, counts: Ints, mean_days: float
) -> tuple[Ints, Ints]:
    """When each thing was acquired, and by whom. The first comes a minute after the account."""
    owner = np.repeat(np.arange(len(customers)), counts)
    is_first = np.concatenate([[True], owner[1:] != owner[:-1]])
    later = random.exponential(mean_days * DAY, len(owner)).astype(np.int64)
    return customers.joined_at[owner] + np.where(is_first, MINUTE, MINUTE + later), owner
