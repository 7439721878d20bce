"""Several lists of hits made into one.

`min_max` adds scores brought to 0..1, and needs scores that mean something; `reciprocal_rank` adds
1 / (k + rank) and asks nothing of them. (Cormack, Clarke, Buettcher: Reciprocal Rank Fusion, 2009;
Bruch, Gai, Ingber: An Analysis of Fusion Functions for Hybrid Retrieval, 2023.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agora.retrieval.hits import Hits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.retrieval.hits import Array

RANK_OFFSET = 60


def min_max(lists: Sequence[Hits], weights: Sequence[float], k: int) -> Hits:
    """The k best by the weighted sum of scores, each list's brought to 0..1.

    A row that a list did not find counts there like the list's last.
    """
    parts = [weight * _unit(hits.scores) for hits, weight in zip(lists, weights, strict=True)]
    return _added(lists, parts, k)


def reciprocal_rank(
    lists: Sequence[Hits], weights: Sequence[float], k: int, offset: int = RANK_OFFSET
) -> Hits:
    """The k best by the weighted sum of 1 / (offset + rank)."""
    parts = [
        weight / (offset + 1.0 + np.arange(len(hits)))
        for hits, weight in zip(lists, weights, strict=True)
    ]
    return _added(lists, parts, k)


def _unit(scores: Array) -> Array:
    """Scores from 0 to 1; a list whose scores are all equal says nothing against its rows: 1."""
    if not len(scores):
        return scores
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.ones(len(scores))


def _added(lists: Sequence[Hits], parts: Sequence[Array], k: int) -> Hits:
    if not any(len(hits) for hits in lists):
        return Hits.none()
    rows, which = np.unique(np.concatenate([hits.rows for hits in lists]), return_inverse=True)
    return Hits.best(rows, np.bincount(which, np.concatenate(parts), len(rows)), k)
