"""A cheap first order over all candidates: one product of a row and a vector.

A logistic regression on differences of rows of the same request (RankNet's loss on a linear model;
Burges et al., 2005), on inputs brought to one scale, NaN at the mean with a flag.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from agora.ranking.lambdarank import Grouped

Array = np.ndarray[Any, Any]

FILE = "first_tier.json"
FAR = 5.0  # Standard deviations beyond which an input says nothing more.
RIDGE = 1.0
PAIRS = 200_000  # More change the weights in the third digit.


@dataclass(frozen=True, slots=True)
class FirstTier:
    """Weights of the standardised inputs and of their flags.

    Attributes:
        mean: Of each input, (width,).
        inverse: One over its standard deviation, 0 for one that never changes, (width,).
        weights: Of the inputs, (width,).
        missing: Added where an input is not known, (width,).
    """

    mean: Array
    inverse: Array
    weights: Array
    missing: Array

    @classmethod
    def fit(cls, sample: Grouped, seed: int = 0) -> Self:
        """Learn from pairs of rows of the same request with different gains.

        Raises:
            ValueError: There is no such pair.
        """
        from sklearn.linear_model import LogisticRegression

        absent = np.isnan(sample.matrix)
        filled = np.where(absent, 0.0, sample.matrix)
        count = np.maximum((~absent).sum(axis=0), 1)
        mean = filled.sum(axis=0) / count
        spread = np.sqrt((np.where(absent, 0.0, filled - mean) ** 2).sum(axis=0) / count)
        inverse = np.where(spread > 1e-9, 1 / np.maximum(spread, 1e-9), 0.0)
        inputs = np.column_stack([_standard(sample.matrix, mean, inverse), absent])
        better, worse = pairs(sample.groups, sample.gains, seed)
        if not len(better):
            raise ValueError("no request holds rows of different gains: nothing to rank by")
        # Signs alternate, as a regression needs both classes.
        sign = np.where(np.arange(len(better)) % 2, 1.0, -1.0)
        weight = None if sample.weights is None else sample.weights[better]
        model = LogisticRegression(C=1 / RIDGE, fit_intercept=False, max_iter=200)
        model.fit((inputs[better] - inputs[worse]) * sign[:, None], sign > 0, weight)
        weights, missing = np.split(model.coef_[0], 2)
        return cls(mean, inverse, weights, missing)

    def raw(self, matrix: Array) -> Array:
        """Scores of the rows, (n,); larger stands higher."""
        # Cut off where it stands, scaled by the weights: each pass over the matrix counts. The
        # lower bound takes the place of what is not known, and is taken away again.
        reach = FAR / np.where(self.inverse > 0, self.inverse, FAR)
        low, weights = self.mean - reach, self.inverse * self.weights
        found = np.fmax(matrix, low)
        np.fmin(found, self.mean + reach, out=found)
        absent = np.isnan(matrix) @ (self.missing + reach * weights)
        return np.asarray(found @ weights + absent - self.mean @ weights)

    def save(self, folder: Path) -> None:
        """Write one JSON file."""
        kept = {name: getattr(self, name).tolist() for name in self.__slots__}
        (folder / FILE).write_text(json.dumps(kept, indent=1))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        kept = json.loads((folder / FILE).read_text())
        return cls(**{name: np.array(values) for name, values in kept.items()})


def pairs(groups: Array, gains: Array, seed: int = 0) -> tuple[Array, Array]:
    """Rows of larger and of smaller gain in the same group, drawn evenly, two arrays (m,).

    Each wanted row meets some rows of its group; those of no smaller gain are left out.
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    start = np.searchsorted(ordered, ordered)
    size = np.searchsorted(ordered, ordered, side="right") - start
    wanted = np.flatnonzero(gains[order] > 0)
    if not len(wanted):
        return wanted, wanted
    each = max(1, min(20, PAIRS // len(wanted)))
    first = np.repeat(wanted, each)
    second = start[first] + (rng.random(len(first)) * size[first]).astype(np.int64)
    first, second = order[first], order[second]
    kept = gains[first] > gains[second]
    return first[kept][:PAIRS], second[kept][:PAIRS]


def _standard(matrix: Array, mean: Array, inverse: Array) -> Array:
    found = np.clip((matrix - mean) * inverse, -FAR, FAR)
    return np.where(np.isnan(found), 0.0, found)
