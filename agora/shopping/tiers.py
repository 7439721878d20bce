"""The cheap ranker as a tier: it orders all candidates and leaves the best of each request open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.cascade import Verdict

if TYPE_CHECKING:
    from agora.ranking.first_tier import FirstTier

Array = np.ndarray[Any, Any]

FIRST, TREES = "first", "trees"
REQUEST, ITEM, OWN = 0, 1, 2
"""Columns of the matrix: the request's row, the item's row, and from here on the inputs."""
# A product of matrices differs in the sixteenth digit by what else is asked; nothing else may.
DIGITS = 9


@dataclass(frozen=True, slots=True)
class FirstStage:
    """Scores all; the best of each request stay open.

    Attributes:
        model: Its weights.
        kept_open: Candidates of a request that the next tier sees.
    """

    model: FirstTier
    kept_open: int
    name: str = FIRST

    def score(self, matrix: Array, scores: Array) -> Verdict:
        """Scores that order the candidates of one request."""
        found = np.round(self.model.raw(matrix[:, OWN:]), DIGITS)
        return Verdict(found, best(matrix, found, self.kept_open))


def best(matrix: Array, scores: Array, kept: int) -> Array:
    """Whether each row is among the best of its request, so many of each, (n,) bool."""
    n = len(matrix)
    if n and (matrix[:, REQUEST] != matrix[0, REQUEST]).any():
        return places(matrix, scores) < kept
    if not 0 < kept < n:
        return np.full(n, kept > 0)
    # One request is the common case: what is not kept need not be in order.
    least = np.partition(scores, n - kept)[n - kept]
    found, equal = np.asarray(scores > least), np.flatnonzero(scores == least)
    equal = equal[np.argsort(matrix[equal, ITEM], kind="stable")]
    found[equal[: kept - np.count_nonzero(found)]] = True
    return found


def places(matrix: Array, scores: Array) -> Array:
    """Place of each row among the rows of its request, from 0; ties by the item's row, (n,)."""
    order = np.lexsort((matrix[:, ITEM], -scores, matrix[:, REQUEST]))
    request = matrix[order, REQUEST]
    found = np.empty(len(matrix), np.int64)
    found[order] = np.arange(len(matrix)) - np.searchsorted(request, request)
    return found
