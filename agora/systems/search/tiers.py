"""The rankers as tiers: a cheap one over all candidates, trees over the best of each request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.cascade import Verdict

if TYPE_CHECKING:
    from agora.boosting import Boosters
    from agora.ranking.first_tier import FirstTier

Array = np.ndarray[Any, Any]

FIRST, TREES = "first", "trees"
REQUEST, ITEM, OWN = 0, 1, 2
"""Columns of the matrix: the request's row, the item's row, and from here on the inputs."""
# A product of matrices differs in the sixteenth digit by what else is asked; nothing else may.
DIGITS = 9


@dataclass(frozen=True, slots=True)
class FirstStage:
    """Weights of the inputs; the best so many of each request stay open."""

    model: FirstTier
    kept_open: int
    name: str = FIRST

    def score(self, matrix: Array, scores: Array) -> Verdict:
        """One product a row."""
        found = np.round(self.model.raw(matrix[:, OWN:]), DIGITS)
        order = np.lexsort((matrix[:, ITEM], -found, matrix[:, REQUEST]))
        ordered = matrix[order, REQUEST]
        place = np.arange(len(matrix)) - np.searchsorted(ordered, ordered)
        is_open = np.empty(len(matrix), bool)
        is_open[order] = place < self.kept_open
        return Verdict(found, is_open)


@dataclass(frozen=True, slots=True)
class TreesStage:
    """LambdaRank's trees and a share of what the first stage said; final.

    Trees learned from what was shown, which nearly all has the words; where little has them the
    linear ranker still tells more from less.
    """

    model: Boosters
    linear: float
    name: str = TREES

    def score(self, matrix: Array, scores: Array) -> Verdict:
        """Scores within a request."""
        found = self.model.raw(matrix[:, OWN:]) + self.linear * scores
        return Verdict(found, np.zeros(len(matrix), bool))
