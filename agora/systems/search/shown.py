"""The rows that rankers learn from: what was shown, and some of what was found and was not."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.ranking.lambdarank import Grouped
from agora.retrieval.hits import Hits
from agora.systems.search.inputs import Words, inputs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.shopping.lists import Lists
    from agora.systems.search.pipeline import SearchPipeline
    from agora.systems.search.strategies import Retriever
    from agora.systems.search.understanding import Understood

Array = np.ndarray[Any, Any]


def sample_of(pipeline: SearchPipeline, lists: Lists, weight: Array) -> tuple[Grouped, Array]:
    """Rows by list, and which of them were shown, (n,) bool.

    Rankers order hundreds of candidates, of which shops show those that look best. From these alone
    they would not learn how the others look: so of some lists products stand in that were found and
    not shown, as if nobody had wanted them.

    Args:
        pipeline: With its index.
        lists: The lists.
        weight: Of each shown product, (m,).
    """
    rows, matrix = pipeline.shown(lists)
    parts: list[tuple[Array, ...]] = [
        (matrix, lists.gains[rows], lists.request[rows], weight[rows], np.ones(len(rows)))
    ]
    parts += _unseen(pipeline, lists)
    inputs, gains, groups, weights, shown = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    return Grouped(inputs, gains, groups, weights), shown.astype(bool)


def words_of(
    retriever: Retriever, queries: Sequence[Understood], request: Array, item: Array
) -> Words:
    """What the words of requests score for any products, found anew.

    Args:
        retriever: Asks the index.
        queries: The requests' queries.
        request: Row of each product's request, ascending, (m,).
        item: Its row in the index, (m,).
    """
    scores, count = np.zeros(len(item)), len(queries)
    best, nearest = np.zeros(count), np.full(count, np.nan)
    edges = np.searchsorted(request, np.arange(count + 1)).tolist()
    # Many type the same; what is found depends on nothing else.
    known: dict[str, tuple[Hits, float]] = {}
    for number, (query, (start, end)) in enumerate(zip(queries, pairwise(edges), strict=True)):
        if query.used not in known:
            hits = retriever.words(query)
            order = np.argsort(hits.rows)
            sorted_hits = Hits(hits.rows[order], hits.scores[order])
            known[query.used] = sorted_hits, retriever.nearest(query)
        hits, nearest[number] = known[query.used]
        if len(hits) and start < end:
            best[number] = hits.scores.max()
            place = np.searchsorted(hits.rows, item[start:end]).clip(max=len(hits) - 1)
            same = hits.rows[place] == item[start:end]
            scores[start:end] = np.where(same, hits.scores[place], 0.0)
    return Words(scores, best, nearest)


def _unseen(pipeline: SearchPipeline, lists: Lists) -> list[tuple[Array, ...]]:
    """Rows of products that were found for some lists and not shown."""
    params = pipeline.params
    taken = np.flatnonzero(lists.taken)
    if not len(taken):
        return []
    chosen = taken[np.linspace(0, len(taken) - 1, min(params.unseen_lists, len(taken))).astype(int)]
    chosen = np.unique(chosen)
    random = np.random.default_rng(0)
    items, size = pipeline.index_.rows_of(lists.keys), len(pipeline.index_) + 1
    shown = lists.request * size + items
    parts: list[tuple[Array, ...]] = []
    for start in range(0, len(chosen), pipeline.rows_at_once):
        some = chosen[start : start + pipeline.rows_at_once]
        columns = {name: column[some] for name, column in lists.columns.items()}
        found = pipeline.retrieve(columns)
        left = ~np.isin(some[found.request] * size + found.item, shown)
        # In a random order, of each request the first so many.
        order = random.permutation(np.flatnonzero(left))
        order = order[np.argsort(found.request[order], kind="stable")]
        ordered = found.request[order]
        kept = order[np.arange(len(order)) - np.searchsorted(ordered, ordered) < params.unseen]
        kept.sort()
        request, item = found.request[kept], found.item[kept]
        asked = pipeline.asked(columns)
        words = pipeline.words(asked, request, item)
        matrix = inputs_of(
            columns, request, item, asked, pipeline.index_, words,
            features=_borrowed(lists, some[request], random),
        )  # fmt: skip
        nothing = np.zeros(len(kept))
        parts.append((matrix, nothing, some[request], nothing + 1, nothing))
    return parts


def _borrowed(lists: Lists, request: Array, random: np.random.Generator) -> Array:
    """Features of products that each list did show, at random, (m, width).

    What was never shown has no clicks: with its own figures a ranker would tell by these alone that
    it was not wanted, and learn nothing of its words.

    Args:
        lists: The lists.
        request: List of each row, (m,).
        random: Draws.
    """
    first = np.searchsorted(lists.request, request)
    count = np.searchsorted(lists.request, request, side="right") - first
    return np.asarray(lists.features[first + (random.random(len(request)) * count).astype(int)])
