"""A model of rewards from a ranker's scores, for the doubly robust estimate.

The chance of a click is logistic in the score of the item and the logarithm of its place. Each half
of the sessions is judged by what the other half taught, so that a model that learned the log by
heart cannot agree with itself (cross-fitting; Chernozhukov et al., 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from agora.ranking.off_policy import Model

Array = np.ndarray[Any, Any]

STEPS, RIDGE = 25, 1.0
# Beyond so many spreads a score says no more: one far off must not bend the line.
FAR = 4.0


@dataclass(frozen=True, slots=True)
class Rewards:
    """The fitted model.

    Attributes:
        weights: Of one, the score and the logarithm of the place, (3,).
        middle: Mean score.
        spread: Standard deviation of the scores.
    """

    weights: Array
    middle: float
    spread: float

    @classmethod
    def fit(cls, scores: Array, positions: Array, rewards: Array) -> Rewards:
        """Newton's steps on the penalised likelihood.

        Args:
            scores: What ranked the items, (n,).
            positions: Places, from 1, (n,).
            rewards: 0 or 1, (n,).
        """
        spread = float(scores.std()) or 1.0
        found = cls(np.zeros(3), float(scores.mean()), spread)
        inputs = found._inputs(scores, positions)
        penalty = RIDGE * np.diag([0.0, 1.0, 1.0])
        weights = np.zeros(3)
        for _ in range(STEPS):
            chance = 1.0 / (1.0 + np.exp(-(inputs @ weights).clip(-30, 30)))
            slope = inputs.T @ (rewards - chance) - penalty @ weights
            # A little of one keeps the matrix invertible where nothing at all was earned.
            bend = (inputs.T * (chance * (1 - chance))) @ inputs + penalty + 1e-6 * np.eye(3)
            step = np.linalg.solve(bend, slope).clip(-2, 2)
            weights = weights + step
            if np.abs(step).max() < 1e-8:
                break
        return cls(weights, found.middle, spread)

    def __call__(self, scores: Array, positions: Array) -> Array:
        """Chance of a reward, of the shape of the scores.

        Args:
            scores: Of items.
            positions: Their places, from 1.
        """
        found = self._inputs(scores, positions) @ self.weights
        return np.asarray(1.0 / (1.0 + np.exp(-found.clip(-30, 30))))

    def _inputs(self, scores: Array, positions: Array) -> Array:
        standard = ((scores - self.middle) / self.spread).clip(-FAR, FAR)
        return np.stack([np.ones_like(standard), standard, np.log(positions)], axis=-1)


def cross_fitted(
    sessions: Array,
    positions: Array,
    rewards: Array,
    shown: Array,
    asked: Array,
    chances: Array | None = None,
) -> Model:
    """What a model expects of the shown items, and of those that the target policy would show.

    Args:
        sessions: Session of each row, codes from 0, (n,).
        positions: Place, from 1, (n,).
        rewards: 0 or 1, (n,).
        shown: Score of the item that was shown, (n,).
        asked: Score of each item that the target policy may show at the row's place, by the same
            ranker in the same state, (n, m).
        chances: Chance of each, (n, m); None where there is one for each row.
    """
    known, expected = np.zeros(len(rewards)), np.zeros(len(rewards))
    half = sessions % 2
    for part in (0, 1):
        # A log of one session has one half: it is all that can be learned from.
        learned = half != part if (half != part).any() else half == part
        rows = half == part
        model = Rewards.fit(shown[learned], positions[learned], rewards[learned])
        known[rows] = model(shown[rows], positions[rows])
        each = model(asked[rows], np.repeat(positions[rows, None], asked.shape[1], axis=1))
        expected[rows] = (each if chances is None else each * chances[rows]).sum(axis=1)
    return Model(known, expected)
