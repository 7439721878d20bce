"""What recommendation is held against: what is taken most, and what is taken together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from agora.ranking.collaborative import ItemToItem
from agora.ranking.interactions import interactions
from agora.shopping.history import WORTH
from agora.systems.recommendation.features import OF_ITEM
from agora.systems.recommendation.history import history_of
from agora.systems.recommendation.learning import taken_by

if TYPE_CHECKING:
    from agora.ranking.interactions import Sparse
    from agora.shopping.lists import Lists
    from agora.systems.recommendation.index import Index
    from agora.systems.recommendation.pipeline import RecommendationPipeline

Array = np.ndarray[Any, Any]

MOST_POPULAR, ITEM_TO_ITEM = "most_popular", "item_to_item"
# What is taken in a month, as the plainest shop counts it.
TAKEN = {
    "product_click_count_30d": 1.0,
    "product_cart_count_30d": 3.0,
    "product_purchase_count_30d": 10.0,
}
# Orders what item-to-item says nothing of, below everything of which it says something.
SMALL = 1e-6


@dataclass(frozen=True, slots=True)
class Baselines:
    """Two models as plain as a shop may begin with.

    Attributes:
        index: Products.
        together: Which are taken together.
    """

    index: Index
    together: ItemToItem

    @classmethod
    def fit(cls, pipeline: RecommendationPipeline, lists: Lists) -> Self:
        """Learn from the lists that the pipeline's models of taste learned from."""
        index, history = pipeline.index_, history_of(lists.columns)
        rows, taken = index.rows_of(history.keys), index.rows_of(lists.keys)
        matrix = taken_by(lists, history, rows, taken, len(index))
        return cls(index, ItemToItem().fit(matrix))

    def scores(self, lists: Lists, items: Array) -> dict[str, Array]:
        """What both say of shown products, as of then; -inf for those not in the index, (m,).

        Args:
            lists: The lists.
            items: Row in the index of each of their products, -1 where it is not there.
        """
        popular = taken(lists.features)
        # A product of two sparse matrices, of which only the shown cells are wanted.
        both = self.histories(lists) @ self.together.matrix_
        like = np.asarray(both[lists.request, np.maximum(items, 0)]).ravel()
        found = {MOST_POPULAR: popular, ITEM_TO_ITEM: like + SMALL * popular}
        return {name: np.where(items >= 0, each, -np.inf) for name, each in found.items()}

    def whole(self, lists: Lists, chosen: Array) -> dict[str, Array]:
        """What both say of every product that is for sale, for some lists, (chosen, items)."""
        popular = np.where(self.index.for_sale, taken(self.index.features), -np.inf)
        like = np.asarray((self.histories(lists)[chosen] @ self.together.matrix_).todense())
        return {
            MOST_POPULAR: np.broadcast_to(popular, like.shape),
            ITEM_TO_ITEM: like + SMALL * popular,
        }

    def histories(self, lists: Lists) -> Sparse:
        """What the lists' visitors did before, (lists, items)."""
        history = history_of(lists.columns)
        rows = self.index.rows_of(history.keys)
        known = rows >= 0
        who = np.repeat(np.arange(len(lists)), known.sum(axis=1))
        weight = WORTH[history.kinds[known]]
        return interactions(who, rows[known], (len(lists), len(self.index)), weight)


def taken(features: Array) -> Array:
    """What was taken in a month, weighted, of columns `OF_ITEM`, (n,)."""
    places = [OF_ITEM.index(name) for name in TAKEN]
    return np.asarray(np.nan_to_num(features[:, places]) @ np.array(list(TAKEN.values())))
