"""How much of the exact hits retrieval finds, with and without filters.

The queries are those of requests: customers' vectors, collaborative ones and those of what was
looked at last, each searched in its space for as many as the pipeline asks for.
"""

from __future__ import annotations

from time import process_time
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.pipeline import Columns
    from agora.retrieval.attributes import Selection
    from agora.systems.recommendation.pipeline import RecommendationPipeline

Array = np.ndarray[Any, Any]

EQUAL = 1e-5
AT_ONCE = 100_000


def recalls(
    pipeline: RecommendationPipeline, asked: Sequence[Columns], shares: Sequence[float]
) -> dict[str, float]:
    """Recall of the worst space, for all products and for those in a range of prices.

    Args:
        pipeline: With the index.
        asked: Requests, one each.
        shares: Of the products that are left by a filter.
    """
    index = pipeline.index_
    found = {"retrieval_recall": _worst(pipeline, asked, None)[0]}
    for share in shares:
        low, high = np.nanquantile(index.price, [0.5 - share / 2, 0.5 + share / 2])
        chosen = index.select({"price_min": float(low), "price_max": float(high)})
        name = f"of_{100 * share:g}_percent"
        found[f"recall_{name}"], times = _worst(pipeline, asked, chosen)
        found[f"searches_{name}_p99_ms"] = float(1e3 * np.quantile(times, 0.99))
    return found


def _worst(
    pipeline: RecommendationPipeline, asked: Sequence[Columns], chosen: Selection | None
) -> tuple[float, Array]:
    """The least recall of a space; and seconds that each request's searches took."""
    index, counts = pipeline.index_, pipeline.params.found
    all_asked = [pipeline.tastes_.ask(columns, index).queries for columns in asked]
    allowed = None if chosen is None else np.flatnonzero(chosen.allowed(len(index)))
    recall, seconds = [], np.zeros(len(asked))
    for space, vectors in index.vectors.items():
        queries = np.concatenate([each[space] for each in all_asked])
        rows = np.arange(len(index)) if allowed is None else allowed
        least = _least(vectors, rows, queries, k := min(counts[space], len(rows)))
        shares = []
        for at, query in enumerate(queries):
            started = process_time()
            hits = vectors.search(query, k, chosen)
            seconds[at] += process_time() - started
            bound = least[at] - EQUAL * max(abs(least[at]), 1.0)
            shares.append(np.count_nonzero(hits.scores >= bound) / k)
        recall.append(min(float(np.mean(shares)), 1.0))
    return min(recall), seconds


def _least(vectors: Any, rows: Array, queries: Array, k: int) -> Array:
    """Score of each query's k-th best row, every row compared."""
    best = np.empty((len(queries), 0), np.float32)
    for start in range(0, len(rows), AT_ONCE):
        scores = np.nan_to_num(queries @ vectors.of(rows[start : start + AT_ONCE]).T, nan=-np.inf)
        scores = np.concatenate([best, scores], axis=1)
        best = np.partition(scores, scores.shape[1] - min(k, scores.shape[1]), axis=1)[:, -k:]
    return np.asarray(best.min(axis=1))
