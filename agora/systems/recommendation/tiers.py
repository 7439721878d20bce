"""The two rankers: a product of vectors over all candidates, trees over the best two hundred."""

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
    """LambdaRank on what the first stage left open; final.

    Attributes:
        boosters: The trees.
    """

    boosters: Boosters
    name: str = TREES

    def score(self, matrix: Array, scores: Array) -> Verdict:
        """Scores that order the candidates of one request."""
        found = self.boosters.raw(matrix[:, OWN:])
        return Verdict(found, np.zeros(len(found), bool))
