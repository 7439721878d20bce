"""The rankers as tiers: a cheap one over all candidates, trees over the best of each request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.cascade import Verdict
from agora.shopping.tiers import ITEM, OWN, REQUEST, TREES, FirstStage

if TYPE_CHECKING:
    from agora.boosting import Boosters

__all__ = ["ITEM", "OWN", "REQUEST", "FirstStage", "TreesStage"]

Array = np.ndarray[Any, Any]


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
