"""Stacking: several models' log-odds become one, with weights that are never negative.

A logistic regression on the parts' log-odds. Its sum stays a sum: each part's reasons, times its
weight, add up to the score. A better score of any part never lowers the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from agora.logistic import fit_non_negative

Array = np.ndarray[Any, Any]

FEWEST = 50


@dataclass(frozen=True, slots=True)
class Stack:
    """Log-odds = sum of the parts' log-odds times their weights + shift."""

    weights: tuple[float, ...]
    shift: float = 0.0

    def __call__(self, raws: Array) -> Array:
        """Log-odds of rows, (n,), from those of the parts, (n, k)."""
        # Part by part: a matrix product differs in its last bits with the number of rows.
        total = np.full(len(raws), self.shift)
        for part, weight in zip(raws.T, self.weights, strict=True):
            total += part * weight
        return total

    @classmethod
    def mean(cls, parts: int) -> Stack:
        """Each part counts the same."""
        return cls((1.0 / parts,) * parts)


def fit_stack(raws: Array, labels: Array, ridge: float = 10.0, fewest: int = FEWEST) -> Stack:
    """The stack of greatest likelihood.

    Args:
        raws: Log-odds of each part on rows that no part learned from, (n, k).
        labels: 0 or 1.
        ridge: Pull of the weights towards the plain mean, as so many observations: parts agree
            too much for some frauds to tell their weights apart.
        fewest: With fewer rows of either class the plain mean is returned.
    """
    parts, positives = raws.shape[1], float(labels.sum())
    if min(positives, len(labels) - positives) < fewest:
        return Stack.mean(parts)
    fitted = fit_non_negative(raws, labels, np.full(parts, 1.0 / parts), ridge)
    if not fitted[:-1].any():
        # No part knows anything: an order is better than none.
        return Stack.mean(parts)
    return Stack(tuple(float(weight) for weight in fitted[:-1]), float(fitted[-1]))
