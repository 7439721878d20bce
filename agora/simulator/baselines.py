"""Ways to make lists that others are measured against: what sells most, and what truth would show.

Both search alike, by the words of titles, so that they differ on the home page alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.simulator.params import microseconds
from agora.simulator.queries import nothing
from agora.simulator.title_index import TitleIndex, read
from agora.simulator.truth import HOME, purchase_probability

if TYPE_CHECKING:
    from datetime import date

    from agora.simulator.arrays import Floats, Ints
    from agora.simulator.world import World

AT_ONCE = 64
"""Requests whose products are all judged at the same time: it bounds memory."""


class MostPopular:
    """Shows everybody what was bought and clicked most; breaks ties by position.

    Args:
        world: What is on offer.
        interactions: What was done before.
        day: Only what is in stock when this day opens is shown.
    """

    def __init__(self, world: World, interactions: pl.DataFrame, day: date) -> None:
        self._world = world
        self._midnight = microseconds(day)
        self._offered = np.flatnonzero(world.goods.offered(self._midnight))
        weight = pl.col("kind").replace_strict({"click": 1.0, "cart": 3.0, "purchase": 10.0})
        counted = interactions.group_by("product_id").agg(weight.cast(pl.Float64).sum())
        self._sold = np.zeros(len(world.goods))
        self._sold[world.products_at(counted["product_id"])] = counted["kind"]
        self._index = TitleIndex(world)

    def __call__(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Answers to a batch of requests, all of one page."""
        scores = self._searched(requests) if "query" in requests[0] else self._home(requests)
        k = min(requests[0]["k"], len(self._offered))
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        kept = np.isfinite(np.take_along_axis(scores, best, 1))
        ids = self._world.product_ids.gather(self._offered[best.ravel()]).to_list()
        return [
            {
                "prediction_id": request["request_id"],
                "items": [
                    {"product_id": ids[row * k + place], "position": place + 1, "propensity": 1.0}
                    for place in range(int(kept[row].sum()))
                ],
                "total": int(np.isfinite(scores[row]).sum()),
            }
            for row, request in enumerate(requests)
        ]

    def _home(self, requests: list[dict[str, Any]]) -> Floats:
        """(requests, offered) what is wanted most."""
        return np.repeat(self._sold[None, self._offered], len(requests), axis=0)

    def _searched(self, requests: list[dict[str, Any]]) -> Floats:
        row, product = self._index.find(read([request["query"] for request in requests]))
        sold = np.full((len(requests), len(self._world.goods)), -np.inf)
        sold[row, product] = self._sold[product]
        offered: Floats = sold[:, self._offered]
        return offered


class Oracle(MostPopular):
    """Shows each customer what that customer is most likely to buy; strangers what sells most."""

    def _home(self, requests: list[dict[str, Any]]) -> Floats:
        scores = super()._home(requests)
        ids = pl.Series([request["customer_id"] for request in requests], dtype=pl.String)
        customer = self._world.customers_at(ids)
        known = np.flatnonzero(customer >= 0)
        for rows in np.split(known, range(AT_ONCE, len(known), AT_ONCE)):
            scores[rows] = self._true(customer[rows])
        return scores

    def _true(self, customer: Ints) -> Floats:
        count = len(customer)
        product = np.repeat(self._offered[None, :], count, axis=0)
        moment = np.full(count, self._midnight)
        return purchase_probability(self._world, HOME, customer, moment, nothing(count), product)
