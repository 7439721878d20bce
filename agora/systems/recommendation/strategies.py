"""Ways to find candidates: three spaces of vectors, what is popular, what is new."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from agora.candidates import Candidates, Found, retrieve_by
from agora.ranking.exploration import drawn, seed_of
from agora.retrieval.hits import Hits
from agora.systems.recommendation.debuts import DAY
from agora.systems.recommendation.features import CONTENT, NEW, POPULAR
from agora.systems.recommendation.tastes import SPACES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from agora.pipeline import Columns
    from agora.retrieval.attributes import Selection
    from agora.systems.recommendation.index import Index
    from agora.systems.recommendation.tastes import Asked, Tastes

Array = np.ndarray[Any, Any]

# Of the newest so many are looked at: of a million products some thousand are of the last weeks.
NEWEST = 5_000


@dataclass(frozen=True, slots=True)
class Reached(Candidates):
    """Candidates, with the visitors as they were asked for them: that is worked out once.

    Attributes:
        asked: The visitors; None where somebody else put the candidates together.
    """

    asked: Asked | None = None


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest products that are for sale, newest first, side by side: they are asked each time.

    Attributes:
        rows: Rows of the index, (n,).
        listed: Epoch seconds, (n,).
        looks: How often each was shown, (n,).
        vectors: By content, (n, width).
    """

    rows: Array
    listed: Array
    looks: Array
    vectors: Array

    @classmethod
    def of(cls, index: Index) -> Self:
        """Those of an index."""
        rows = index.newest[:NEWEST]
        return cls(rows, index.listed[rows], index.looks[rows], index.vectors[CONTENT].of(rows))

    def since(self, start: float, end: float) -> Self:
        """What was listed after the start and not after the end."""
        return self.take(slice(*np.searchsorted(-self.listed, (-end, -start)).tolist()))

    def take(self, chosen: Any) -> Self:
        """The chosen ones."""
        parts = (self.rows, self.listed, self.looks, self.vectors)
        return type(self)(*(part[chosen] for part in parts))


@dataclass(frozen=True, slots=True)
class Retriever:
    """Asks an index.

    Attributes:
        index: The index.
        newest: Its newest products.
        tastes: Models that its vectors come from.
        found: How many each strategy finds.
        new_days: Days for which a product is new.
        first_looks: Times that a new product is shown before it must earn its places.
    """

    index: Index
    newest: Newest
    tastes: Tastes
    found: Mapping[str, int]
    new_days: float
    first_looks: int = 0

    def retrieve(self, columns: Columns, without: Collection[str] = ()) -> Reached:
        """Candidates of each request; sold-out products among them only where asked for."""
        asked = self.tastes.ask(columns, self.index)
        selections = [self.index.select(filters) for filters in columns["filters"]]
        strategies = {
            **{
                space: partial(self._near, space=space, asked=asked, selections=selections)
                for space in SPACES
            },
            POPULAR: partial(self._popular, selections=selections),
            NEW: partial(self._new, asked=asked, selections=selections),
        }
        found = retrieve_by(strategies, columns, without)
        return Reached(found.request, found.item, found.scores, found.skipped, asked)

    def _near(
        self, columns: Columns, space: str, asked: Asked, selections: list[Selection | None]
    ) -> Found:
        vectors, k = self.index.vectors[space], self.found[space]
        # One request at a time: a product of matrices would depend on who else asks.
        hits = [
            vectors.search(query, k, selection)
            for query, selection in zip(asked.queries[space], selections, strict=True)
        ]
        return self._joined(hits, selections)

    def _popular(self, columns: Columns, selections: list[Selection | None]) -> Found:
        most, worth = self.index.most_popular[: self.found[POPULAR]], self.index.popularity
        everybody = Hits(most, worth[most])
        hits = [
            everybody
            if selection is None
            else Hits.best(rows := _rows(selection), worth[rows], self.found[POPULAR])
            for selection in selections
        ]
        return self._joined(hits, selections)

    def _new(self, columns: Columns, asked: Asked, selections: list[Selection | None]) -> Found:
        """Half are what is most alike; half are drawn of what lacks its first looks."""
        now = np.asarray(columns["event_at"]) / 1e6
        hits = []
        for at, selection, query, request_id in zip(
            now, selections, asked.queries[CONTENT], columns["request_id"], strict=True
        ):
            few = self.newest.since(at - self.new_days * DAY, at)
            if selection is not None:
                few = few.take(selection.allowed(len(self.index))[few.rows])
            # To whom nothing is known to be alike, the newest.
            known = np.isfinite(query).all() and len(few.rows)
            like = (few.vectors @ query).astype(float) if known else few.listed - at
            short = (few.looks < self.first_looks).astype(float)
            turns = drawn(short, self.found[NEW] // 2, seed_of(f"{request_id} new"))
            hits.append(_with_turns(few.rows, like, turns, self.found[NEW]))
        return self._joined(hits, selections)

    def _joined(self, hits: list[Hits], selections: list[Selection | None]) -> Found:
        request = np.repeat(np.arange(len(hits)), [len(each) for each in hits])
        item = np.concatenate([np.empty(0, np.int64), *(each.rows for each in hits)])
        score = np.concatenate([np.empty(0), *(each.scores for each in hits)])
        chosen = np.array([selection is not None for selection in selections], bool)
        # A filter has looked at the stock already, as it was told to.
        kept = self.index.for_sale[item] | chosen[request]
        return Found(request[kept], item[kept], score[kept])


def _with_turns(rows: Array, like: Array, turns: Array, k: int) -> Hits:
    """What has its turn, whatever it is like; then what is most alike."""
    if len(rows) > k:
        worth = like.copy()
        worth[turns] = np.inf
        kept = np.argpartition(-worth, k - 1)[:k]
        rows, like = rows[kept], like[kept]
    return Hits.best(rows, like, k)


def _rows(selection: Selection) -> Array:
    if selection.rows is not None:
        return selection.rows
    assert selection.mask is not None, "a selection has rows or a mask"
    return np.flatnonzero(selection.mask)
