"""The shop before there was a recommender: popular things, a crude guess at tastes, some chance.

Its home page mixes what sells in the customer's favourite category, a little that is new and a
little of everything. Its search knows the words of titles only: no synonyms, no typing errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agora.simulator.catalogue import CATEGORIES
from agora.simulator.goods import unit
from agora.simulator.params import DAY, HOUR
from agora.simulator.play import Lists
from agora.simulator.slots import draw
from agora.simulator.streams import stream
from agora.simulator.title_index import TitleIndex
from agora.simulator.truth import HOME, SEARCH, SHOWN

if TYPE_CHECKING:
    from agora.simulator.arrays import Bools, Floats, Ints
    from agora.simulator.play import Events, Pages
    from agora.simulator.world import World

POPULAR, TAIL, NEW = 7, 2, 1
"""Products of each kind in the pool of a position of the home page."""
EXPLORES = (3, 7, 11)
"""Positions of the home page, from 0, at which all of the pool are equally likely."""
NEW_DAYS = 14
HALF_LIFE = 14.0
WEIGHTS = np.array([1.0, 3.0, 10.0])
"""Of a click, a cart and a purchase in popularity."""
GUESS_ERROR = 1.0
"""Length of the error in the guess at a taste, whose own length is one."""
SEGMENT_TASTE, OWN_TASTE, SELLS = 2.0, 2.0, 0.7
SEARCHED = 5
"""Products in the pool of a position of a search."""
FAME = (0.5, 0.5)
"""Popularity on day one: what quality makes of it, and chance."""


class Storefront:
    """Makes the lists of the history; it learns from each day what sells."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._random = stream(seed, "storefront")
        goods = world.goods
        fame = FAME[0] * goods.quality + FAME[1] * self._random.standard_normal(len(goods))
        self._sold = np.exp(fame)
        error = unit(self._random.standard_normal(world.tastes.now.shape))
        self._guess = unit(world.tastes.now + GUESS_ERROR * error)
        self._segment = np.argmax(self._guess @ world.concepts.category.T, axis=1)
        self._index = TitleIndex(world)
        self._offered: Bools = np.zeros(len(goods), dtype=bool)
        self._popularity: Floats = np.zeros(len(goods))
        self._pools: Ints = np.zeros((0, 0, 0), dtype=np.int64)

    def open(self, midnight: int) -> None:
        """Begin a day: what is on offer, what sells, and what each segment's page draws from."""
        goods = self._world.goods
        # What was listed within the hour before midnight comes with the next day.
        self._offered = goods.offered(midnight) & (goods.created_at + HOUR < midnight)
        self._popularity = SELLS * np.log1p(self._sold)
        fresh = self._offered & (goods.created_at > midnight - NEW_DAYS * DAY)
        places = np.concatenate(
            [self._world.concepts.category, np.zeros((1, goods.vector.shape[1]))]
        )
        self._pools = np.stack([self._pool(place, fresh) for place in places])

    def close(self, events: Events) -> None:
        """End a day: what was done changes what sells tomorrow."""
        self._sold *= 0.5 ** (1 / HALF_LIFE)
        np.add.at(self._sold, events.product, WEIGHTS[events.kind])

    def __call__(self, pages: Pages) -> Lists:
        """A list for each page; people who are not known get the page of the last segment."""
        if pages.queries is None:
            segment = np.where(pages.is_known, self._segment[pages.customer], len(CATEGORIES))
            pools = self._pools[segment]
            found = np.full(len(segment), SHOWN[HOME])
        else:
            pools, found = self._matching(pages)
        guess = np.where(pages.is_known[:, None], self._guess[pages.customer], 0.0)
        vectors = self._world.goods.vector[np.maximum(pools, 0)]
        own = np.einsum("nkmd,nd->nkm", vectors, guess)
        scores = OWN_TASTE * own + self._popularity[np.maximum(pools, 0)]
        explores = np.isin(np.arange(pools.shape[1]), EXPLORES if pages.queries is None else ())
        product, propensity = draw(self._random, pools, scores, explores)
        return Lists(product, propensity, found)

    def _pool(self, place: Floats, fresh: Bools) -> Ints:
        """(places, pool) products for one segment's page: dealt in turn, the most wanted first."""
        length = SHOWN[HOME]
        scores = self._popularity + SEGMENT_TASTE * self._world.goods.vector @ place
        new = self._some(np.flatnonzero(fresh), NEW * length)
        tail = self._some(np.flatnonzero(self._offered & ~fresh), TAIL * length)
        rest = self._offered.copy()
        rest[new], rest[tail] = False, False
        candidates = np.flatnonzero(rest)
        best = candidates[np.argsort(-scores[candidates], kind="stable")][: POPULAR * length]
        parts = ((best, POPULAR), (tail, TAIL), (new, NEW))
        return np.concatenate([_dealt(each, size, length) for each, size in parts], axis=1)

    def _some(self, products: Ints, count: int) -> Ints:
        return self._random.permutation(products)[:count]

    def _matching(self, pages: Pages) -> tuple[Ints, Ints]:
        """(n, places, pool) of what has all words of the query in its title; and how many."""
        assert pages.queries is not None
        row, product = self._index.find(pages.queries.tokens)
        keep = self._offered[product]
        row, product = row[keep], product[keep]
        order = np.lexsort((product, -self._popularity[product], row))
        row, product = row[order], product[order]
        count = len(pages.visit)
        found = np.bincount(row, minlength=count)
        rank = np.arange(len(row)) - (np.cumsum(found) - found)[row]
        length = SHOWN[SEARCH]
        top = rank < SEARCHED * length
        pools = np.full((count, length, SEARCHED), -1)
        pools[row[top], rank[top] % length, rank[top] // length] = product[top]
        return pools, found


def _dealt(products: Ints, size: int, length: int) -> Ints:
    """(length, size) products dealt one to each place in turn, -1 where there are no more."""
    padded = np.full(size * length, -1)
    padded[: len(products)] = products
    return padded.reshape(size, length).T
