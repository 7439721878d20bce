"""From scored candidates to what is answered: items with highlights, facets, words of notice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.retrieval.highlights import OPEN, Highlighter
from agora.systems.search.features import LEXICAL, SEMANTIC
from agora.systems.search.index import LOOKED_AT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agora.pipeline import Outputs
    from agora.systems.search.index import Index
    from agora.systems.search.understanding import Understood

Array = np.ndarray[Any, Any]
Item = dict[str, Any]

BOTH, POPULAR = "both", "popular"
NOTHING = "No product fits the query."
FILTERED = "No product fits the query and the filters."
SHORT = "Fewer products fit than were asked for."
BANDS = (0.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, np.inf)
COUNTS = pl.List(pl.Struct({"value": pl.String(), "count": pl.Int64()}))
PRICES = pl.List(
    pl.Struct({"price_min": pl.Float64(), "price_max": pl.Float64(), "count": pl.Int64()})
)
OUTPUTS: Outputs = {
    "items": pl.List(
        pl.Struct(
            {
                "product_id": pl.String(), "position": pl.Int64(), "score": pl.Float64(),
                "title": pl.String(), "highlight": pl.String(), "price": pl.Float64(),
                "propensity": pl.Float64(), "source": pl.String(),
            }
        )
    ),
    "score": pl.Float64(),
    "query_used": pl.String(),
    "corrected": pl.Boolean(),
    "category": pl.String(),
    "total": pl.Int64(),
    "facets": pl.Struct({"category": COUNTS, "merchant_id": COUNTS, "price": PRICES}),
    "notice": pl.String(),
}  # fmt: skip
SELLERS = 20  # Of a facet; more is no help.


@dataclass(frozen=True, slots=True)
class Lister:
    """Makes answers of an index's products."""

    index: Index

    def items(
        self, query: Understood, rows: Array, scores: Array, sources: Sequence[str]
    ) -> list[Item]:
        """Items in the order given.

        Args:
            query: What is looked for.
            rows: Of the index, best first.
            scores: Of each.
            sources: How each was found.
        """
        shown = Highlighter(self.index.lexical.analyzer, query.reading)
        return [
            {
                "product_id": self.index.ids[row],
                "position": place + 1,
                "score": score,
                "title": self.index.titles[row],
                "highlight": self._highlight(shown, row),
                "price": self._price(row),
                # Nothing is drawn: what stands here stands here for certain.
                "propensity": 1.0,
                "source": source,
            }
            for place, (row, score, source) in enumerate(
                zip(rows.tolist(), scores.tolist(), sources, strict=True)
            )
        ]

    def popular(
        self, query: Understood, filters: Mapping[str, Any] | None, k: int
    ) -> tuple[list[Item], Array]:
        """The most popular of what has the words in its title, and all rows that do.

        It answers when nothing else has the time: of many products the most popular are looked at.
        """
        index = self.index
        selection, left = index.select(filters), index.wanted
        if selection is not None:
            left = index.ordered[selection.allowed(len(index))[index.ordered]][:LOOKED_AT]
        held = index.title_words.held(left, query.groups[0])
        count = held.sum(axis=1)
        found = left[(count > 0) & (count == count.max(initial=0))]
        best = found[:k]
        return self.items(query, best, index.popularity[best], [POPULAR] * len(best)), found

    def kept(self, items: Sequence[Item], filters: Mapping[str, Any] | None, k: int) -> list[Item]:
        """What is left of a former list: what is still there, for sale and fits, renumbered."""
        from agora.items import item_key

        index = self.index
        rows = index.rows_of(np.array([item_key(item["product_id"]) for item in items], float))
        selection = index.select(filters)
        if len(index):
            allowed = index.for_sale if selection is None else selection.allowed(len(index))
            left = np.flatnonzero((rows >= 0) & allowed[np.maximum(rows, 0)])[:k]
        else:
            left = rows[:0]
        return [
            {
                **items[at],
                "position": place + 1,
                "title": index.titles[int(rows[at])],
                "price": self._price(int(rows[at])),
            }
            for place, at in enumerate(left.tolist())
        ]

    def facets(self, rows: Array) -> dict[str, list[dict[str, Any]]]:
        """Counts of found rows."""
        counted = {
            name: [
                {"value": value, "count": count}
                for value, count in self.index.attributes.counts(name, rows, most).items()
            ]
            for name, most in (("category", None), ("merchant_id", SELLERS))
        }
        price = self.index.price[rows]
        counts = np.histogram(price[np.isfinite(price)], BANDS)[0].tolist()
        bands = [
            {"price_min": low, "price_max": high if np.isfinite(high) else None, "count": count}
            for (low, high), count in zip(pairwise(BANDS), counts, strict=True)
            if count
        ]
        return {**counted, "price": bands}

    def _highlight(self, shown: Highlighter, row: int) -> str:
        """The title where it has a word of the query, else the description where that has one."""
        title = shown(self.index.titles[row])
        if OPEN in title:
            return title
        told = shown(self.index.descriptions[row])
        return told if OPEN in told else title

    def _price(self, row: int) -> float | None:
        price = float(self.index.price[row])
        return price if math.isfinite(price) else None


def best_of(tiers: Array, scores: Array, items: Array, k: int) -> Array:
    """The k best of one request's candidates, best first; equal scores by the item's row.

    What a later tier saw stands above what it did not: where that is enough, nothing else is put
    in order.

    Args:
        tiers: Tier that gave each score, (m,).
        scores: Of each, (m,).
        items: Row of each in the index, (m,).
        k: How many.
    """
    chosen = np.flatnonzero(tiers == tiers.max(initial=0))
    if len(chosen) < k:
        chosen = np.arange(len(tiers))
    keys = (items[chosen], -scores[chosen], -tiers[chosen].astype(int))
    return np.asarray(chosen[np.lexsort(keys)][:k])


def sources_of(found: Mapping[str, Array], rows: Array) -> list[str]:
    """How each of some candidates was found."""
    lexical, semantic = (
        (~np.isnan(found[name][rows])).tolist() if name in found else [False] * len(rows)
        for name in (LEXICAL, SEMANTIC)
    )
    return [
        (BOTH if by_meaning else LEXICAL) if by_words else SEMANTIC
        for by_words, by_meaning in zip(lexical, semantic, strict=True)
    ]


def notice_of(items: Sequence[Item], filters: Mapping[str, Any] | None, k: int) -> str | None:
    """Why a list is short or empty, in words; None when it is neither."""
    if len(items) >= k:
        return None
    if items:
        return SHORT
    asked = any(value is not None for value in (filters or {}).values())
    return FILTERED if asked else NOTHING
