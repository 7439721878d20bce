"""The rows that rankers learn from: what was shown, and some of what was found and was not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agora.ranking.lambdarank import Grouped
from agora.systems.search.features import LOGGED
from agora.systems.search.inputs import inputs_of

if TYPE_CHECKING:
    from agora.systems.search.learning import Lists
    from agora.systems.search.pipeline import SearchPipeline

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
            features=_then(items, lists, item, columns["event_at"][request], pipeline),
        )  # fmt: skip
        nothing = np.zeros(len(kept))
        parts.append((matrix, nothing, some[request], nothing + 1, nothing))
    return parts


def _then(items: Array, lists: Lists, asked: Array, at: Array, pipeline: SearchPipeline) -> Array:
    """Features of products as of a time, from the last list before it that showed them, (m, width).

    Those of the index are of a later day: what followed in between must not be told. Of a product
    that no earlier list showed nothing is known.

    Args:
        items: Row in the index of each product that the lists showed, -1 where it is not there.
        lists: The lists.
        asked: Row in the index of the products in question, (m,).
        at: Microseconds of their requests, (m,).
        pipeline: For the width of its features.
    """
    when = lists.columns["event_at"]
    first = int(when.min())
    seconds = 1_000_000
    shown = np.flatnonzero(items >= 0)
    known = items[shown] << 32 | (when[lists.request[shown]] - first) // seconds
    order = np.argsort(known, kind="stable")
    wanted = asked << 32 | (at - first) // seconds
    place = np.searchsorted(known[order], wanted, side="right") - 1
    row = shown[order[np.maximum(place, 0)]]
    same = (place >= 0) & (items[row] == asked)
    nothing = np.full(pipeline.index_.features.shape[1], np.nan)
    nothing[: len(LOGGED)] = 0.0
    return np.asarray(np.where(same[:, None], lists.features[row], nothing))
