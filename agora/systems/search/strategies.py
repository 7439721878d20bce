"""Ways to find candidates: by the query's words, and by its meaning."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.candidates import Found, retrieve_by
from agora.retrieval.hits import Hits, RetrievalError
from agora.systems.search.features import LEXICAL, SEMANTIC
from agora.systems.search.understanding import REMEMBERED

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from agora.candidates import Candidates
    from agora.pipeline import Columns
    from agora.retrieval.attributes import Selection
    from agora.systems.search.index import Index
    from agora.systems.search.params import Params
    from agora.systems.search.understanding import Understanding, Understood

Array = np.ndarray[Any, Any]

WARMING = 24  # Queries after which nothing is read from disk any more: a quarter of a second.


class Incomplete(Exception):
    """A strategy did not answer: nothing to be remembered."""

    def __init__(self, found: Candidates) -> None:
        super().__init__(*found.skipped)
        self.found = found


class Retriever:
    """Asks an index; what the latest queries found is remembered, as many are typed again.

    Args:
        index: The index.
        understanding: Reads the queries.
        params: How many each strategy finds.
    """

    def __init__(self, index: Index, understanding: Understanding, params: Params) -> None:
        self.index, self.understanding, self.params = index, understanding, params
        # As many as are understood: some 90 MB.
        self._alone = lru_cache(REMEMBERED)(self._of_query)

    def retrieve(self, columns: Columns, without: Collection[str] = ()) -> Candidates:
        """Candidates of each request; sold-out products among them only where asked for."""
        selections = [self.index.select(filters) for filters in columns["filters"]]
        queries = columns["query"]
        if len(selections) != 1 or selections[0] is not None or without:
            return self._found(queries, selections, columns, without)
        try:
            return self._alone(queries[0])
        except Incomplete as incomplete:
            return incomplete.found

    def words(self, asked: Understood, selection: Selection | None = None) -> Hits:
        """What has the query's words."""
        allowed = None if selection is None else selection.allowed(len(self.index))
        return self.index.lexical.search(asked.reading, self.params.lexical, allowed=allowed)

    def meaning(self, asked: Understood, selection: Selection | None = None) -> Hits:
        """What is meant, in whatever words.

        Raises:
            RetrievalError: There is no encoder, or the index was made without one.
        """
        if asked.vector is None or not self.index.has_vectors:
            raise RetrievalError("nothing is known of meanings")
        hits = self.index.vectors.search(asked.vector, self.params.semantic, selection)
        close = hits.scores >= self.params.closest
        return Hits(hits.rows[close], hits.scores[close])

    def warm(self) -> None:
        """Look for frequent words: what was read from disk once stands in memory."""
        for word in self.index.lexical.frequent(WARMING):
            asked = self.understanding.of(word)
            rows = self.words(asked).rows
            self.index.title_words.covered(rows, asked.groups[0])
            self.index.text_words.covered(rows, asked.groups[1])
            if asked.vector is not None and self.index.has_vectors:
                self.index.vectors.scores(asked.vector, rows)
                self.meaning(asked)

    def nearest(self, asked: Understood) -> float:
        """Likeness in meaning of what is most alike, as far as `meaning` finds it; else NaN."""
        try:
            hits = self.meaning(asked)
        except RetrievalError:
            return float("nan")
        return float(hits.scores[0]) if len(hits) else float("nan")

    def _of_query(self, query: str) -> Candidates:
        """Candidates of whoever types this, without a filter: nothing else of a request counts."""
        found = self._found([query], [None], {})
        if found.skipped:
            raise Incomplete(found)
        for array in (found.request, found.item, *found.scores.values()):
            array.flags.writeable = False
        return found

    def _found(
        self,
        queries: Sequence[str] | Array,
        selections: list[Selection | None],
        columns: Columns,
        without: Collection[str] = (),
    ) -> Candidates:
        asked = [self.understanding.of(query) for query in queries]
        strategies = {
            LEXICAL: partial(self._by_words, asked=asked, selections=selections),
            SEMANTIC: partial(self._by_meaning, asked=asked, selections=selections),
        }
        return retrieve_by(strategies, columns, without)

    def _by_words(
        self, columns: Columns, asked: list[Understood], selections: list[Selection | None]
    ) -> Found:
        pairs = zip(asked, selections, strict=True)
        return self._joined([self.words(*pair) for pair in pairs], selections)

    def _by_meaning(
        self, columns: Columns, asked: list[Understood], selections: list[Selection | None]
    ) -> Found:
        # One request at a time: a product of matrices would depend on who else asks.
        pairs = zip(asked, selections, strict=True)
        return self._joined([self.meaning(*pair) for pair in pairs], selections)

    def _joined(self, hits: list[Hits], selections: list[Selection | None]) -> Found:
        if len(hits) == 1:
            rows, scores = hits[0].rows, hits[0].scores
            if selections[0] is None:
                kept = np.take(self.index.for_sale, rows)
                rows, scores = rows[kept], scores[kept]
            return Found(np.zeros(len(rows), np.int64), rows, scores)
        request = np.repeat(np.arange(len(hits)), [len(each) for each in hits])
        item = np.concatenate([np.empty(0, np.int64), *(each.rows for each in hits)])
        score = np.concatenate([np.empty(0), *(each.scores for each in hits)])
        chosen = np.array([selection is not None for selection in selections], bool)
        # A filter has looked at the stock already, as it was told to.
        kept = self.index.for_sale[item] | chosen[request]
        return Found(request[kept], item[kept], score[kept])
