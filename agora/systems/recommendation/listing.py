"""From scored candidates to the list that is shown: rules, diversity, freshness, exploration.

Everything is a function of the request: its id draws what is explored, so a replay gives the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.ranking.diversity import rerank
from agora.ranking.exploration import drawn, seed_of
from agora.systems.recommendation.debuts import is_new, lacks_looks
from agora.systems.recommendation.features import CONTENT
from agora.systems.recommendation.ranked import Ranked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agora.systems.recommendation.index import Index
    from agora.systems.recommendation.params import Params

Array = np.ndarray[Any, Any]
Item = dict[str, Any]

NOTHING = "No product fits the filters."
EMPTY = "There is no product that can be shown."
SHORT = "Fewer products fit than were asked for."
# Places for which a list of ten keeps its quota of new products.
QUOTA_OF = 10


@dataclass(frozen=True, slots=True)
class Lister:
    """Makes lists of an index's products.

    Attributes:
        index: The products.
        params: Rules and exploration.
    """

    index: Index
    params: Params

    def list_of(
        self, ranked: Ranked, k: int, request_id: str, at: float
    ) -> tuple[list[Item], float]:
        """The list, and the mean score of its products (NaN when it is empty).

        Args:
            ranked: What may be shown.
            k: Length.
            request_id: Draws what is explored.
            at: Epoch seconds of the request.
        """
        listed, pool = self.plan(ranked, k, request_id, at)
        if not len(listed):
            return [], float("nan")
        shown = self.params.exploration.show(listed, pool, request_id)
        sources = sources_of(ranked.found, shown.rows)
        items = [
            self._item(ranked, row, place, source, propensity, bool(explored))
            for place, (row, source, propensity, explored) in enumerate(
                zip(
                    shown.rows.tolist(),
                    sources,
                    shown.propensities.tolist(),
                    shown.explored,
                    strict=True,
                )
            )
        ]
        return items, float(ranked.scores[shown.rows].mean())

    def plan(self, ranked: Ranked, k: int, request_id: str, at: float) -> tuple[Array, Array]:
        """The list before anything is tried out, and what may be; rows of `ranked`.

        Places of new products go to those that lack their first looks, drawn by the request's id,
        so that all come to be shown. Where none lacks them, the best new product has the place.

        Args:
            ranked: What may be shown.
            k: Length.
            request_id: Draws which new products have their turn.
            at: Epoch seconds of the request.
        """
        index, rules = self.index, self.params.rules
        fresh = is_new(index, ranked.items, at, self.params.new_days)
        short = fresh & lacks_looks(index, ranked.items, self.params.first_looks)
        turns = drawn(short.astype(float), len(short), seed_of(f"{request_id} debut"))
        quota = rules.fresh * k // QUOTA_OF
        has_turn = np.zeros(len(fresh), bool)
        has_turn[turns[:quota]] = True
        sellers = np.unique(index.sellers[ranked.items], return_inverse=True)[1]
        listed = rerank(
            ranked.scores, k, replace(rules, fresh=quota), sellers=sellers,
            vectors=index.vectors[CONTENT].of(ranked.items),
            fresh=has_turn if has_turn.any() else fresh,
        )  # fmt: skip
        return listed, self._pool(listed, sellers, turns, fresh)

    def popular(self, filters: Mapping[str, Any] | None, k: int) -> list[Item]:
        """What is taken most of what the filters leave."""
        index = self.index
        rows = index.most_popular
        selection = index.select(filters)
        if selection is not None:
            left = np.flatnonzero(selection.allowed(len(index)))
            rows = left[np.argsort(-index.popularity[left], kind="stable")]
        rows = rows[: 20 * k]
        sellers = np.unique(index.sellers[rows], return_inverse=True)[1]
        rules = replace(self.params.rules, similarity=0.0, fresh=0)
        worth = index.popularity[rows]
        ranked = Ranked(rows, worth, {"popular": worth})
        return [
            self._item(ranked, row, place, "popular", 1.0, explored=False)
            for place, row in enumerate(rerank(worth, k, rules, sellers=sellers).tolist())
        ]

    def kept(self, items: Sequence[Item], filters: Mapping[str, Any] | None, k: int) -> list[Item]:
        """What is left of a former list: what is still there, for sale and fits, renumbered."""
        from agora.items import item_key

        index = self.index
        rows = index.rows_of(np.array([item_key(item["product_id"]) for item in items], float))
        allowed = (rows >= 0) & index.for_sale[np.maximum(rows, 0)]
        selection = index.select(filters)
        if selection is not None:
            allowed = (rows >= 0) & selection.allowed(len(index))[np.maximum(rows, 0)]
        left = [(items[at], rows[at]) for at in np.flatnonzero(allowed)[:k]]
        return [
            {**item, "position": place + 1, "title": index.titles[row], "price": self._price(row)}
            for place, (item, row) in enumerate(left)
        ]

    def _pool(self, listed: Array, sellers: Array, turns: Array, fresh: Array) -> Array:
        """Candidates that may be tried out: no seller gets more places than the rules give it.

        Args:
            listed: The list.
            sellers: Of the candidates.
            turns: New ones that lack their first looks, as they are drawn.
            fresh: Which are new.
        """
        most = self.params.rules.per_seller
        turn = np.full(len(sellers), len(sellers))
        turn[turns] = np.arange(len(turns))
        open_to = np.ones(len(sellers), bool)
        open_to[listed] = False
        if most is not None:
            taken = np.bincount(sellers[listed], minlength=int(sellers.max(initial=-1)) + 1)
            open_to &= taken[sellers] < most
            first = np.zeros(len(sellers), bool)
            candidates = np.flatnonzero(open_to)
            # By turn, then what is new, then in order: of each seller one.
            order = candidates[np.lexsort((~fresh[candidates], turn[candidates]))]
            first[order[np.unique(sellers[order], return_index=True)[1]]] = True
            open_to &= first
        new = np.flatnonzero(open_to & fresh)
        new = new[np.argsort(turn[new], kind="stable")][: self.params.pool // 2]
        others = np.flatnonzero(open_to & ~fresh)[: self.params.pool - len(new)]
        return np.concatenate([new, others])

    def _item(
        self, ranked: Ranked, row: int, place: int, source: str, propensity: float, explored: bool
    ) -> Item:
        item = ranked.items[row]
        return {
            "product_id": self.index.ids[item],
            "position": place + 1,
            "score": float(ranked.scores[row]),
            "source": source,
            "propensity": propensity,
            "explored": explored,
            "title": self.index.titles[item],
            "price": self._price(item),
        }

    def _price(self, item: int) -> float | None:
        price = float(self.index.price[item])
        return price if np.isfinite(price) else None


def sources_of(found: Mapping[str, Array], rows: Array) -> list[str]:
    """The strategy that put each row highest, by its place in that strategy's own order."""
    names, scores = list(found), np.stack(list(found.values()))
    own = scores[:, rows]
    ahead = (scores[:, None, :] > own[:, :, None]).sum(axis=2)
    place = np.where(np.isnan(own), len(scores[0]) + 1, ahead).argmin(axis=0)
    return [names[number] for number in place.tolist()]


def notice_of(items: Sequence[Item], filters: Mapping[str, Any] | None, k: int) -> str | None:
    """Why a list is short or empty, in words; None when it is neither."""
    if len(items) >= k:
        return None
    if items:
        return SHORT
    asked = any(value is not None for value in (filters or {}).values())
    return NOTHING if asked else EMPTY
