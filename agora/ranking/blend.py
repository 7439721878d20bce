"""Scores of several models as one: each on its own scale, weights chosen on held-out rows.

Scores of different models have nothing in common but their order; after standardising each
history's row they can be added.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from agora.ranking.interactions import top
from agora.ranking.metrics import Judged, as_if, judge_lists, ndcg

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agora.ranking.interactions import Sparse

Array = np.ndarray[Any, Any]

POOL = 100  # Best items of the plain sum: what a later list is chosen from.
STEPS = (0.25, -0.25, 0.5)
LEAST = 3e-4  # A smaller gain is chance: nDCG's standard error is twenty times that.
MOST_STEPS = 24


@dataclass(frozen=True, slots=True)
class Fold:
    """Scores of models that have not seen what is wanted.

    Attributes:
        scores: Standardised, by model, (histories, items).
        seen: What is not shown again.
        wanted: What was held out.
        relevant: How many items each history wants in all, of which those held out are a sample,
            (histories,).
    """

    scores: dict[str, Array]
    seen: Sparse
    wanted: Sparse
    relevant: Array

    def value(self, scores: Array, k: int) -> float:
        """Mean nDCG of the k best, as if all that is wanted were known."""
        lists = top(scores, k, self.seen)
        judged = as_if(judge_lists(lists, *self.wanted.nonzero()), self.relevant)
        return float(np.nanmean(ndcg(judged, k)))


@dataclass(slots=True)
class Average:
    """The mean of several models' standardised scores: factorisations differ by their start.

    Attributes:
        members: Models, as they are before they are fitted.
    """

    members: tuple[Any, ...]

    def fit(self, taken: Sparse) -> Self:
        """Fit each on the same interactions."""
        self.members = tuple(replace(member).fit(taken) for member in self.members)
        return self

    def scores(self, histories: Sparse) -> Array:
        """(histories, items)."""
        found = [standardised(one.scores(histories)) for one in self.members]
        return np.asarray(np.mean(found, axis=0))


def standardised(scores: Array) -> Array:
    """Each row with mean 0 and deviation 1."""
    spread = scores.std(axis=1, keepdims=True)
    return np.asarray((scores - scores.mean(axis=1, keepdims=True)) / np.maximum(spread, 1e-12))


def blend(scores: Mapping[str, Array], weights: Mapping[str, float]) -> Array:
    """Weighted sum of standardised scores."""
    return np.asarray(sum(weight * scores[name] for name, weight in weights.items()))


def choose_weights(folds: Sequence[Fold], first: str, k: int) -> dict[str, float]:
    """Weights of the largest mean nDCG@k, by steps from the first model alone.

    Args:
        folds: Held-out histories.
        first: Model whose weight stays 1.
        k: Length of the lists.
    """
    pools = [_pool(fold) for fold in folds]
    weights = {first: 1.0}
    value = _value(pools, weights, k)
    for _ in range(MOST_STEPS):
        tried = [
            {**weights, name: weights.get(name, 0.0) + step}
            for name in folds[0].scores
            if name != first
            for step in STEPS
        ]
        values = [_value(pools, one, k) for one in tried]
        best = int(np.argmax(values))
        if values[best] < value + LEAST:
            break
        weights, value = tried[best], values[best]
    return {name: weight for name, weight in weights.items() if weight}


def _pool(fold: Fold) -> tuple[dict[str, Array], Judged]:
    """Scores and gains of each history's best items, in the order of their pool."""
    total = np.asarray(sum(fold.scores.values()))
    items = top(total, POOL, fold.seen)
    judged = as_if(judge_lists(items, *fold.wanted.nonzero()), fold.relevant)
    there = items >= 0
    kept = np.where(there, items, 0)
    scores = {
        name: np.where(there, np.take_along_axis(values, kept, axis=1), -np.inf)
        for name, values in fold.scores.items()
    }
    return scores, judged


def _value(
    pools: Sequence[tuple[dict[str, Array], Judged]], weights: Mapping[str, float], k: int
) -> float:
    values = []
    for scores, judged in pools:
        # An item that is not there weighs minus infinity under any weight but 0.
        with np.errstate(invalid="ignore"):
            found = np.nan_to_num(blend(scores, weights), nan=-np.inf, posinf=-np.inf)
        order = np.argsort(-found, axis=1, kind="stable")[:, :k]
        gains = np.take_along_axis(judged.gains, order, axis=1)
        values.append(np.nanmean(ndcg(Judged(gains, judged.ideal, judged.relevant), k)))
    return float(np.mean(values))
