"""Calibration: from a model's log-odds to probabilities that mean what they say.

Beta calibration (Kull et al., 2017): three numbers, strictly increasing, so the order of the scores
(and every ranking metric) stays as it was; isotonic regression would tie a fifth of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

STEPS = 50
TOLERANCE = 1e-9


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
        tail = np.logaddexp(0.0, log_odds)  # -ln(1 - p), and ln p = log_odds - tail
        z = self.low * (log_odds - tail) + self.high * tail + self.shift
        return sigmoid(z)


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * z))


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
    inputs = np.column_stack([log_odds - tail, tail, np.ones(len(labels))])
    free = np.ones(3, bool)
    fitted = _newton(inputs, labels, ridge, free)
    while (negative := free[:2] & (fitted[:2] < 0)).any():
        free[:2] &= ~negative
        fitted = _newton(inputs, labels, ridge, free)
    return Calibration(*(float(value) for value in fitted))


def _newton(inputs: Array, labels: Array, ridge: float, free: Array) -> Array:
    centre, pull = np.array([1.0, 1.0, 0.0]), np.array([ridge, ridge, 0.0])
    at = np.where(free, centre, 0.0)
    loss = _loss(inputs, labels, at, centre, pull)
    for _ in range(STEPS):
        p = sigmoid(inputs @ at)
        slope = inputs.T @ (p - labels) + pull * (at - centre)
        curvature = (inputs * (p * (1 - p))[:, None]).T @ inputs + np.diag(pull + TOLERANCE)
        step = np.zeros(3)
        step[free] = np.linalg.solve(curvature[np.ix_(free, free)], slope[free])
        size = 1.0
        while (
            new := _loss(inputs, labels, at - size * step, centre, pull)
        ) > loss and size > TOLERANCE:
            size /= 2
        at = at - size * step
        if loss - new < TOLERANCE * max(1.0, abs(loss)):
            break
        loss = new
    return at


def _loss(inputs: Array, labels: Array, at: Array, centre: Array, pull: Array) -> float:
    z = inputs @ at
    return float((np.logaddexp(0.0, z) - labels * z).sum() + (pull * (at - centre) ** 2).sum() / 2)
