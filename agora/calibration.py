"""Calibration: from a model's log-odds to probabilities that mean what they say.

Beta calibration (Kull et al., 2017): three numbers, strictly increasing, so the order of the scores
(and every ranking metric) stays as it was; isotonic regression would tie a fifth of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from agora.logistic import fit_non_negative, sigmoid

__all__ = ["Calibration", "fit_calibration", "sigmoid"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Probability = sigmoid(low * ln p - high * ln(1 - p) + shift), p the sigmoid of the input.

    The default changes nothing.
    """

    low: float = 1.0
    high: float = 1.0
    shift: float = 0.0

    def __call__(self, log_odds: Array) -> Array:
        """Calibrated probabilities of log-odds."""
        return sigmoid(self.log_odds(log_odds))

    def log_odds(self, log_odds: Array) -> Array:
        """The same as log-odds."""
        tail = np.logaddexp(0.0, log_odds)  # -ln(1 - p), and ln p = log_odds - tail
        return np.asarray(self.low * (log_odds - tail) + self.high * tail + self.shift)


def fit_calibration(log_odds: Array, labels: Array, ridge: float = 1.0) -> Calibration:
    """The calibration of greatest likelihood with non-negative slopes.

    Args:
        log_odds: A model's raw scores.
        labels: 0 or 1.
        ridge: Pull of the slopes towards 1, as so many observations: keeps few positives from
            bending the curve.

    Raises:
        ValueError: One of the classes is absent, so no probability can be learned.
    """
    if not 0 < labels.sum() < len(labels):
        raise ValueError("calibration needs both classes; widen the calibration span")
    tail = np.logaddexp(0.0, log_odds)
    inputs = np.column_stack([log_odds - tail, tail])
    return Calibration(*map(float, fit_non_negative(inputs, labels, np.ones(2), ridge)))
