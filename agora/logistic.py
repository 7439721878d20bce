"""Logistic regression of a few non-negative weights, pulled towards given ones, by Newton steps.

Non-negative weights keep the order that each input gives to rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

STEPS = 50
TOLERANCE = 1e-9


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * z))


def fit_non_negative(inputs: Array, labels: Array, centre: Array, ridge: float) -> Array:
    """The weights of greatest likelihood, none negative, then the intercept; (k + 1,).

    Args:
        inputs: (n, k).
        labels: 0 or 1, both present.
        centre: Weights that the ridge pulls towards, (k,).
        ridge: Strength of the pull, as so many observations.
    """
    k = inputs.shape[1]
    inputs = np.column_stack([inputs, np.ones(len(inputs))])
    centre, pull = np.append(centre, 0.0), np.append(np.full(k, ridge), 0.0)
    free = np.ones(k + 1, bool)
    fitted = _newton(inputs, labels, centre, pull, free)
    while (negative := free[:k] & (fitted[:k] < 0)).any():
        free[:k] &= ~negative
        fitted = _newton(inputs, labels, centre, pull, free)
    return fitted


def _newton(inputs: Array, labels: Array, centre: Array, pull: Array, free: Array) -> Array:
    """Weights where the loss is least; those that are not free stay at nothing."""
    at = np.where(free, centre, 0.0)
    loss = _loss(inputs, labels, at, centre, pull)
    for _ in range(STEPS):
        p = sigmoid(inputs @ at)
        slope = inputs.T @ (p - labels) + pull * (at - centre)
        curvature = (inputs * (p * (1 - p))[:, None]).T @ inputs + np.diag(pull + TOLERANCE)
        step = np.zeros(len(at))
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
