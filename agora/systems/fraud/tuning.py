"""Fraud's search for parameters: average precision on later folds of the training span.

Calibration and test spans are never seen. Trees and network are searched apart, each with half of
the budget: their parameters do not meet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.boosting import Sample, train
from agora.metrics import average_precision
from agora.systems.fraud.features import INPUTS
from agora.systems.fraud.network import EVENT_AT, WIDTH, SequenceNetwork
from agora.tuning import Budget, OneOf, Real, Space, Tuned, Values, Whole, tune

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agora.systems.fraud.params import Params

Array = np.ndarray[Any, Any]

FOLDS = 3
FIRST_SHARE = 0.4  # Of the span, before the first fold: less is too little to learn from.
TREES: Space = {
    "learning_rate": Real(0.02, 0.15, log=True),
    "usual_rounds": Whole(100, 400),
    "leaves": Whole(4, 32, log=True),
    "rows_per_leaf": Whole(20, 300, log=True),
    "input_share": Real(0.1, 0.8),
    "ridge": Real(1.0, 100.0, log=True),
    "fraud_weight": Real(0.0, 0.6),
}
NETWORK: Space = {
    "hidden": OneOf((64, 128)),
    "dropout": Real(0.1, 0.6),
    "gamma": Real(0.0, 3.0),
    "alpha": Real(0.25, 0.9),
    "learning_rate": Real(5e-4, 5e-3, log=True),
    "weight_decay": Real(1e-3, 1.0, log=True),
    "epochs": Whole(8, 30),
    "honest_per_fraud": Whole(10, 60, log=True),
}


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows to learn from and later ones to be judged by."""

    before: Array
    after: Array


def folds(event_at: Array, labels: Array) -> list[Fold]:
    """Expanding folds by time; one without frauds on both sides is left out."""
    cuts = np.quantile(event_at, np.linspace(FIRST_SHARE, 1.0, FOLDS + 1))
    cuts[-1] = np.inf
    found = [
        Fold(
            np.flatnonzero(event_at < start),
            np.flatnonzero((event_at >= start) & (event_at < end)),
        )
        for start, end in pairwise(cuts)
    ]
    return [fold for fold in found if labels[fold.before].any() and labels[fold.after].any()]


def search(
    params: Params, matrix: Array, labels: Array, budget: Budget, *, storage: Path | None = None
) -> tuple[Params, dict[str, Tuned]]:
    """Parameters that are at least as good on the folds, and what each search found.

    Args:
        params: The ones in use; the first trial of each search.
        matrix: Decoded rows of the training span, with their sequences.
        labels: 1 for a fraud.
        budget: For both searches together.
        storage: SQLite file that keeps the trials.
    """
    parts = folds(matrix[:, EVENT_AT], labels)
    if not parts or budget.trials < 1:
        return params, {}
    half = Budget(max(1, budget.trials // 2), budget.seconds / 2)

    def run(name: str, space: Space, owner: Any, score: Callable[[Values, Fold], Array]) -> Tuned:
        return tune(
            lambda values: float(
                np.mean(
                    [average_precision(labels[f.after], score(values, f))[0] for f in parts]
                )
            ),
            space,
            {key: _within(space[key], getattr(owner, key)) for key in space},
            half,
            name=name,
            storage=storage,
        )  # fmt: skip

    trees = run(
        "trees", TREES, params, lambda v, f: _trees(replace(params, **v), matrix, labels, f)
    )
    network = run(
        "network",
        NETWORK,
        params.network,
        lambda v, f: SequenceNetwork.fit(
            matrix[f.before], labels[f.before], replace(params.network, **v)
        ).raw(matrix[f.after]),
    )
    better = replace(params, network=replace(params.network, **_gain(network)), **_gain(trees))
    return better, {"trees": trees, "network": network}


def _gain(found: Tuned) -> Values:
    """The values found, none where those in use were the best."""
    return found.values if found.value > found.first else {}


def _trees(params: Params, matrix: Array, labels: Array, fold: Fold) -> Array:
    """Log-odds of the fold's later rows."""
    known = labels[fold.before]
    weight = ((len(known) - known.sum()) / known.sum()) ** params.fraud_weight
    sample = Sample(matrix[fold.before, :WIDTH], known, np.where(known > 0, weight, 1.0))
    boosters = train(sample, INPUTS, params.lightgbm, params.usual_rounds, params.seeds[:1])
    return boosters.raw(matrix[fold.after, :WIDTH])


def _within(kind: Real | Whole | OneOf, value: Any) -> Any:
    """The value in use, or the point of the space next to it."""
    if isinstance(kind, OneOf):
        return value if value in kind.options else kind.options[0]
    return min(max(value, kind.low), kind.high)
