"""Merchants and what they sell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agora.simulator import geography
from agora.simulator.arrays import Floats, Ints, weighted
from agora.simulator.params import DAY, MINUTE
from agora.simulator.streams import stream

if TYPE_CHECKING:
    from agora.simulator.params import Params

# Category, typical price, share of its payments made at a terminal.
CATEGORIES = (
    ("groceries", 14.0, 0.85),
    ("restaurants", 22.0, 0.75),
    ("fashion", 38.0, 0.35),
    ("electronics", 95.0, 0.25),
    ("home", 48.0, 0.40),
    ("beauty", 21.0, 0.40),
    ("books", 15.0, 0.30),
    ("games", 9.0, 0.05),
    ("sports", 44.0, 0.40),
    ("travel", 130.0, 0.10),
)
NAMES = tuple(category[0] for category in CATEGORIES)
PRICE = np.array([category[1] for category in CATEGORIES])
IN_STORE_SHARE = np.array([category[2] for category in CATEGORIES])
FREQUENCY = np.array([0.20, 0.14, 0.14, 0.10, 0.10, 0.08, 0.07, 0.07, 0.06, 0.04])
GAMES = NAMES.index("games")

# Where a choice of merchant falls: the same city, the same country, anywhere.
NEARNESS = (0.60, 0.85)
PRICE_SPREAD = 0.9
REPRICED_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class Merchants:
    """Merchants, sorted by city; `cumulative`: running sum of popularity, with a leading 0."""

    joined_at: Ints
    city: Ints
    category: Ints
    latitude: Floats
    longitude: Floats
    cumulative: Floats

    def __len__(self) -> int:
        return len(self.joined_at)

    def near(self, random: np.random.Generator, city: Ints) -> Ints:
        """A merchant for each city: mostly from the city itself or its country."""
        drawn = random.random(len(city))
        # Cities are grouped by country, so city and country are both slices of the merchants.
        first = np.searchsorted(self.city, np.arange(len(geography.CITIES) + 1))
        country_first = np.searchsorted(
            geography.COUNTRY_OF[self.city], np.arange(len(geography.COUNTRIES) + 1)
        )
        country = geography.COUNTRY_OF[city]
        low = np.where(drawn < NEARNESS[0], first[city], country_first[country])
        high = np.where(drawn < NEARNESS[0], first[city + 1], country_first[country + 1])
        anywhere = (drawn >= NEARNESS[1]) | (low == high)
        return weighted(
            random, self.cumulative, np.where(anywhere, 0, low), np.where(anywhere, len(self), high)
        )


@dataclass(frozen=True, slots=True)
class Products:
    """Products, sorted by merchant and price. From `repriced_at` on `new_price` holds."""

    created_at: Ints
    merchant: Ints
    price: Floats
    repriced_at: Ints
    new_price: Floats
    first: Ints

    def price_at(self, product: Ints, moment: Ints) -> Floats:
        """Price of each product at each moment."""
        return np.where(
            moment >= self.repriced_at[product], self.new_price[product], self.price[product]
        )


def make_merchants(params: Params) -> Merchants:
    """Merchants of all categories, where the people are; popularity has a long tail."""
    random = stream(params.seed, "merchants")
    count = params.merchants
    city = np.sort(geography.cities(random, count))
    latitude, longitude = geography.scatter(random, city, geography.HOME_SPREAD)
    popularity = random.lognormal(0.0, 0.9, count)
    return Merchants(
        joined_at=joining_times(random, params, count),
        city=city,
        category=random.choice(len(CATEGORIES), count, p=FREQUENCY),
        latitude=latitude,
        longitude=longitude,
        cumulative=np.concatenate([[0.0], np.cumsum(popularity)]),
    )


def make_products(params: Params, merchants: Merchants) -> Products:
    """A catalogue for each merchant: log-normal around the category's and its own price."""
    random = stream(params.seed, "products")
    sizes = 1 + random.poisson(params.products_per_merchant - 1, len(merchants))
    merchant = np.repeat(np.arange(len(merchants)), sizes)
    level = np.log(PRICE[merchants.category]) + random.normal(0.0, 0.3, len(merchants))
    price = np.exp(level[merchant] + random.normal(0.0, PRICE_SPREAD, len(merchant)))
    price = np.round(np.clip(price, 0.5, 5_000.0), 2)
    order = np.lexsort((price, merchant))
    price, merchant = price[order], merchant[order]
    is_repriced = random.random(len(price)) < REPRICED_SHARE
    moment = random.integers(params.start_at, params.end_at, len(price))
    opened_at = merchants.joined_at[merchant]
    return Products(
        created_at=opened_at + 10 * MINUTE,
        merchant=merchant,
        price=price,
        repriced_at=np.where(is_repriced & (moment > opened_at + DAY), moment, params.end_at),
        new_price=np.round(np.maximum(price * random.uniform(0.85, 1.15, len(price)), 0.5), 2),
        first=np.concatenate([[0], np.cumsum(sizes)]),
    )


def joining_times(random: np.random.Generator, params: Params, count: int) -> Ints:
    """When entities joined: most in the three years before the start, the others while we watch."""
    before = params.start_at - random.integers(DAY, 1_000 * DAY, count)
    during = random.integers(params.start_at, params.end_at, count)
    is_present = random.random(count) < params.present_share
    # The first is always there: someone must be, however few there are.
    is_present[0] = True
    return np.where(is_present, before, during)
