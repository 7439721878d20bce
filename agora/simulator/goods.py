"""What the shop shows: every product with its attributes, latent factors and times out of stock.

The products that payments buy come first, in their order; then those that sellers launch day by
day. Launches go on after the simulated span, for traffic that is driven later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agora.simulator import vocabulary as words
from agora.simulator.catalogue import CATEGORIES, PRICE, PRICE_SPREAD
from agora.simulator.params import DAY
from agora.simulator.streams import stream

if TYPE_CHECKING:
    from agora.simulator.arrays import Bools, Floats, Ints
    from agora.simulator.catalogue import Merchants, Products
    from agora.simulator.params import Params

DIMENSIONS = 12
"""Of tastes: fewer and all tastes look alike, more and nobody's can be learned from 20 clicks."""
PARTS = {"category": 1.0, "noun": 0.8, "style": 0.7, "brand": 0.4, "own": 0.4}
"""What a product's place among the tastes is made of: mostly what its text tells."""
LAUNCHED_AFTER_END = 60
"""Days after the span for which launches are drawn."""
MISPRICED = 0.12
"""How far, in ranks, the kind of a product may lie from what its price suggests."""
NEVER = np.iinfo(np.int64).max
FIRST_STOCK, OUTAGE_DAYS = (5, 200), (1, 9)


@dataclass(frozen=True, slots=True)
class Concepts:
    """Unit vectors of categories, kinds of things, styles and brands."""

    category: Floats
    noun: Floats
    style: Floats
    brand: Floats


@dataclass(frozen=True, slots=True)
class Goods:
    """Products by position; attributes are positions in `vocabulary`, over all categories.

    `vector` holds unit vectors, `quality` is standard normal. From `repriced_at` on `new_price`
    holds; between `out_at` and `back_at` nothing is in stock.
    """

    created_at: Ints
    merchant: Ints
    price: Floats
    repriced_at: Ints
    new_price: Floats
    category: Ints
    noun: Ints
    style: Ints
    brand: Ints
    detail: Ints
    variant: Ints
    noun_form: Ints
    style_form: Ints
    vector: Floats
    quality: Floats
    out_at: Ints
    back_at: Ints
    first_stock: Ints
    next_stock: Ints

    def __len__(self) -> int:
        return len(self.created_at)

    def price_at(self, product: Ints, moment: Ints) -> Floats:
        """Price of each product at each moment."""
        return np.where(
            moment >= self.repriced_at[product], self.new_price[product], self.price[product]
        )

    def stock_at(self, product: Ints, moment: Ints) -> Ints:
        """Pieces in stock, as the seller's newest record says."""
        stock = np.where(moment < self.out_at[product], self.first_stock[product], 0)
        return np.where(moment >= self.back_at[product], self.next_stock[product], stock)

    def offered(self, moment: int) -> Bools:
        """Which products are listed and in stock at a moment."""
        product = np.arange(len(self))
        return (self.created_at < moment) & (self.stock_at(product, np.full(len(self), moment)) > 0)


def make_concepts(params: Params) -> Concepts:
    """Where categories, kinds of things, styles and brands lie among the tastes."""
    random = stream(params.seed, "concepts")
    sizes = (1, words.NOUNS_EACH, words.STYLES_EACH, words.BRANDS_EACH)
    return Concepts(*(_directions(random, len(CATEGORIES) * size) for size in sizes))


def make_goods(
    params: Params, merchants: Merchants, products: Products, concepts: Concepts
) -> Goods:
    """All products. What payments know of them stays as it is."""
    created_at, merchant, price = _launched(params, merchants)
    created_at = np.concatenate([products.created_at, created_at])
    merchant = np.concatenate([products.merchant, merchant])
    price = np.concatenate([products.price, price])
    known, count = len(products.price), len(price)
    new = count - known
    far = np.full(new, NEVER)
    category = merchants.category[merchant]
    random = stream(params.seed, "goods")
    noun = category * words.NOUNS_EACH + _kinds(random, category, price)
    style = category * words.STYLES_EACH + random.integers(0, words.STYLES_EACH, count)
    brand = category * words.BRANDS_EACH + _brands(random, merchant)
    own = _directions(random, count)
    place = {
        "category": concepts.category[category],
        "noun": concepts.noun[noun],
        "style": concepts.style[style],
        "brand": concepts.brand[brand],
        "own": own,
    }
    out_at, back_at = _outages(random, params, created_at)
    return Goods(
        created_at=created_at,
        merchant=merchant,
        price=price,
        # For payments "never" is the end of the span; here time goes on.
        repriced_at=np.concatenate(
            [np.where(products.repriced_at < params.end_at, products.repriced_at, NEVER), far]
        ),
        new_price=np.concatenate([products.new_price, price[known:]]),
        category=category,
        noun=noun,
        style=style,
        brand=brand,
        detail=category * words.DETAILS_EACH + random.integers(0, words.DETAILS_EACH, count),
        variant=category * words.VARIANTS_EACH + random.integers(0, words.VARIANTS_EACH, count),
        noun_form=words.NOUN_WORDS.choose(noun, random.random(count)),
        style_form=words.STYLE_WORDS.choose(style, random.random(count)),
        vector=unit(sum((PARTS[name] * part for name, part in place.items()), np.zeros(1))),
        quality=random.standard_normal(count),
        out_at=out_at,
        back_at=back_at,
        first_stock=random.integers(*FIRST_STOCK, count),
        next_stock=random.integers(*FIRST_STOCK, count),
    )


def unit(vectors: Floats) -> Floats:
    """The vectors with length one."""
    scaled: Floats = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled


def _directions(random: np.random.Generator, count: int) -> Floats:
    return unit(random.standard_normal((count, DIMENSIONS)))


def _launched(params: Params, merchants: Merchants) -> tuple[Ints, Ints, Floats]:
    """When sellers add which products, in order of time."""
    random = stream(params.seed, "launches")
    days = params.days + LAUNCHED_AFTER_END
    per_day = random.poisson(params.launches_per_day, days)
    count = int(per_day.sum())
    day = np.repeat(np.arange(days), per_day)
    created_at = np.sort(params.start_at + day * DAY + random.integers(0, DAY, count))
    # Only who was there a day before; the first of all is there from the start.
    order = np.argsort(merchants.joined_at, kind="stable")
    present = np.searchsorted(merchants.joined_at[order], created_at - DAY)
    merchant = order[(random.random(count) * np.maximum(present, 1)).astype(np.int64)]
    level = np.log(PRICE[merchants.category[merchant]])
    price = np.exp(level + random.normal(0.0, PRICE_SPREAD, count))
    return created_at, merchant, np.round(np.clip(price, 0.5, 5_000.0), 2)


def _kinds(random: np.random.Generator, category: Ints, price: Floats) -> Ints:
    """Kinds of things within their category: the dearer the price, the dearer the kind."""
    order = np.lexsort((price, category))
    first = np.searchsorted(category[order], np.arange(len(CATEGORIES) + 1))
    rank = np.empty(len(price))
    rank[order] = np.arange(len(price)) - first[category[order]]
    share = rank / np.diff(first)[category] + random.normal(0.0, MISPRICED, len(price))
    return np.clip(share * words.NOUNS_EACH, 0, words.NOUNS_EACH - 1).astype(np.int64)


def _brands(random: np.random.Generator, merchant: Ints) -> Ints:
    """Each seller keeps two brands, and now and then sells another."""
    kept = random.integers(0, words.BRANDS_EACH, (int(merchant.max()) + 1, 2))
    mine = kept[merchant, random.integers(0, 2, len(merchant))]
    other = random.integers(0, words.BRANDS_EACH, len(merchant))
    return np.where(random.random(len(merchant)) < 0.2, other, mine)


def _outages(random: np.random.Generator, params: Params, created_at: Ints) -> tuple[Ints, Ints]:
    """When each product runs out and comes back; beyond all times for those that never do."""
    count, span = len(created_at), params.days + LAUNCHED_AFTER_END
    low, high = OUTAGE_DAYS
    begins = params.start_at + random.integers(0, span * DAY, count)
    ends = begins + random.integers(low * DAY, high * DAY, count)
    happens = random.random(count) < params.outage_share * span / 100
    happens &= begins > created_at + 2 * DAY
    return np.where(happens, begins, NEVER), np.where(happens, ends, NEVER)
