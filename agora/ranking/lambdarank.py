"""Ordering the candidates of a request by boosted trees: LightGBM's LambdaRank.

(Burges, 2010; position bias in the objective: Unbiased LambdaMART as LightGBM has it.) The files
and the scoring are those of `agora.boosting`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.boosting import FEW_CELLS, THREADS, Boosters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import lightgbm

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class RankParams:
    """How the trees are trained; each value with its reason."""

    rounds: int = 120  # At most; more trees cost time with each request.
    leaves: int = 15  # Half of LightGBM's: 200 candidates are scored in a millisecond.
    learning_rate: float = 0.08
    rows_in_leaf: int = 30
    l2: float = 5.0
    columns: float = 0.8  # Share of inputs that a tree may use.
    truncation: int = 20  # Pairs below this position teach nothing: lists of ten are shown.
    patience: int = 20  # Trees without a better later nDCG before stopping.
    at: int = 10  # Positions of the nDCG that chooses the number of trees.
    rising: tuple[str, ...] = ()  # Inputs of which more must never rank lower.
    falling: tuple[str, ...] = ()  # Inputs of which more must never rank higher.
    position_ridge: float = 0.0  # Pull of the learned position biases towards none.
    seeds: tuple[int, ...] = (0,)
    more: Mapping[str, Any] = field(default_factory=dict)  # LightGBM's own, for the rest.

    def lightgbm(self, names: Sequence[str]) -> dict[str, Any]:
        """As LightGBM names them.

        Raises:
            ValueError: An input that is to rise or fall is not there, or is to do both.
        """
        wrong = {*self.rising, *self.falling} - set(names) | {*self.rising} & {*self.falling}
        if wrong:
            raise ValueError(f"rising, falling: {', '.join(sorted(wrong))} unknown or in both")
        direction = [(name in self.rising) - (name in self.falling) for name in names]
        return {
            "objective": "lambdarank",
            "metric": "ndcg",
            "eval_at": [self.at],
            "num_leaves": self.leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.rows_in_leaf,
            "lambda_l2": self.l2,
            "feature_fraction": self.columns,
            "lambdarank_truncation_level": self.truncation,
            "lambdarank_position_bias_regularization": self.position_ridge,
            **({"monotone_constraints": direction} if any(direction) else {}),
            **self.more,
        }


@dataclass(frozen=True, slots=True)
class Grouped:
    """Rows of requests to learn from, in any order.

    Attributes:
        matrix: Inputs, (n, width).
        gains: Whole numbers from 0 (not wanted) to 30, (n,).
        groups: Request of each row, any sortable values, (n,).
        weights: Weight of each row, as one over its chance of having been seen, (n,), or None.
        positions: Where it was shown, any whole numbers, (n,): LightGBM then learns each place's
            bias beside the trees; None where `weights` correct it, or nothing does.
    """

    matrix: Array
    gains: Array
    groups: Array
    weights: Array | None = None
    positions: Array | None = None

    def ordered(self) -> tuple[Grouped, Array]:
        """The rows by request, and each request's number of rows."""
        order = np.argsort(self.groups, kind="stable")
        _, sizes = np.unique(self.groups[order], return_counts=True)
        parts = (self.matrix, self.gains, self.groups, self.weights, self.positions)
        return Grouped(*(None if part is None else part[order] for part in parts)), sizes  # type: ignore[arg-type]


def train(
    sample: Grouped, names: Sequence[str], params: RankParams, later: Grouped | None = None
) -> Boosters:
    """Rankers, one per seed; larger scores stand higher.

    Args:
        sample: To learn from; requests in which all gains are equal teach nothing.
        names: Of the inputs.
        params: How.
        later: Later requests that choose the number of trees; without them all are grown.

    Raises:
        ValueError: No request has two different gains.
    """
    import lightgbm

    rows, sizes = sample.ordered()
    starts = np.cumsum(sizes) - sizes
    low, high = np.minimum.reduceat(rows.gains, starts), np.maximum.reduceat(rows.gains, starts)
    if not (high > low).any():
        raise ValueError("no request holds rows of different gains: nothing to rank by")
    own = params.lightgbm(names)
    data = _dataset(rows, sizes, names)
    valid, callbacks = [], []
    if later is not None:
        ordered, counts = later.ordered()
        made = _dataset(ordered, counts, names, reference=data)
        valid = [made]
        callbacks = [lightgbm.early_stopping(params.patience, verbose=False)]
    found = []
    for seed in params.seeds:
        fixed = {
            "verbose": -1,
            "num_threads": 1 if sample.matrix.size < FEW_CELLS else THREADS,
            # Equal seeds give equal trees.
            "deterministic": True,
            "force_col_wise": True,
            "seed": seed,
        }
        booster = lightgbm.train(
            {**own, **fixed}, data, params.rounds, valid_sets=valid, callbacks=list(callbacks)
        )
        best = booster.best_iteration if later is not None else params.rounds
        # The copy through text drops the training data, so what is scored is what is saved.
        text = booster.model_to_string(num_iteration=best)
        found.append(lightgbm.Booster(model_str=text))
    return Boosters(found)


def _dataset(
    rows: Grouped, sizes: Array, names: Sequence[str], reference: lightgbm.Dataset | None = None
) -> lightgbm.Dataset:
    import lightgbm

    return lightgbm.Dataset(
        rows.matrix,
        rows.gains.astype(int),
        weight=rows.weights,
        group=sizes,
        # A list that chooses the number of trees has no places to unlearn.
        position=rows.positions if reference is None else None,
        feature_name=list(names),
        reference=reference,
        free_raw_data=False,
    )
