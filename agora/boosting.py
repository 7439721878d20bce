"""Gradient-boosted trees (LightGBM) as plain text files, quick for one row and for a million.

Several seeds may be trained on the same rows and their raw scores averaged, where that is worth its
time.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import lightgbm

Array = np.ndarray[Any, Any]

THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# Below these, waking threads costs more than they save; on a busy machine twenty times more.
FEW_ROWS = 512
FEW_CELLS = 5_000_000
RAW_SCORE, FLOAT64 = 1, 1


class Boosters:
    """Trained models whose raw scores (log-odds, for a binary objective) are averaged."""

    def __init__(self, boosters: Sequence[lightgbm.Booster]) -> None:
        self.boosters = tuple(boosters)
        self._single = [_single_row(booster) for booster in self.boosters]

    def raw(self, matrix: Array) -> Array:
        """Raw scores of the rows, (n,)."""
        if len(matrix) == 1:
            row, total = np.ascontiguousarray(matrix), np.zeros(1)
            for score in self._single:
                total += score(row)
            return total / len(self._single)
        threads = 1 if len(matrix) < FEW_ROWS else THREADS
        total = np.zeros(len(matrix))
        for booster in self.boosters:
            total += booster.predict(matrix, raw_score=True, num_threads=threads)
        return total / len(self.boosters)

    def contributions(self, matrix: Array) -> Array:
        """What each input adds to the raw score (TreeSHAP), and last the expected raw score.

        (n, width + 1); the sum of a row is its raw score.
        """
        parts = [b.predict(matrix, pred_contrib=True, num_threads=1) for b in self.boosters]
        return np.asarray(sum(parts) / len(parts))

    def importance(self) -> dict[str, float]:
        """Share of the total gain that each input brought, largest first."""
        gain = sum(booster.feature_importance("gain") for booster in self.boosters)
        share = gain / max(gain.sum(), 1e-300)
        order = np.argsort(-share, kind="stable")
        names = self.boosters[0].feature_name()
        return {names[i]: float(share[i]) for i in order}

    def save(self, folder: Path) -> None:
        """Write one text file per seed."""
        for number, booster in enumerate(self.boosters):
            booster.save_model(str(folder / f"trees_{number}.txt"))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        import lightgbm

        files = sorted(folder.glob("trees_*.txt"), key=lambda path: int(path.stem.split("_")[1]))
        return cls([lightgbm.Booster(model_file=str(path)) for path in files])


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows to learn from.

    Attributes:
        matrix: Inputs, (n, width).
        labels: What is to be predicted.
        weights: Weight of each row.
    """

    matrix: Array
    labels: Array
    weights: Array

    def take(self, rows: Array) -> Sample:
        """The chosen rows."""
        return Sample(self.matrix[rows], self.labels[rows], self.weights[rows])


def train(
    sample: Sample,
    names: Sequence[str],
    params: Mapping[str, Any],
    rounds: int,
    seeds: Sequence[int],
) -> Boosters:
    """One booster per seed, each of `rounds` trees."""
    import lightgbm

    return Boosters(
        [
            # The copy through text drops the training data, so what is scored is what is saved.
            lightgbm.Booster(
                model_str=lightgbm.train(
                    _params(params, seed, sample), _dataset(sample, names), num_boost_round=rounds
                ).model_to_string()
            )
            for seed in seeds
        ]
    )


def best_rounds(
    sample: Sample,
    later: Sample,
    names: Sequence[str],
    params: Mapping[str, Any],
    most: int,
    patience: int,
) -> int:
    """Number of trees after which `later` rows stop getting better."""
    import lightgbm

    booster = lightgbm.train(
        _params(params, 0, sample),
        data := _dataset(sample, names),
        num_boost_round=most,
        valid_sets=[data.create_valid(later.matrix, later.labels, weight=later.weights)],
        callbacks=[lightgbm.early_stopping(patience, verbose=False)],
    )
    return int(booster.best_iteration)


def _dataset(sample: Sample, names: Sequence[str]) -> lightgbm.Dataset:
    import lightgbm

    return lightgbm.Dataset(
        sample.matrix, sample.labels, weight=sample.weights, feature_name=list(names)
    )


def _params(params: Mapping[str, Any], seed: int, sample: Sample) -> dict[str, Any]:
    return {
        **params,
        "verbose": -1,
        "num_threads": 1 if sample.matrix.size < FEW_CELLS else THREADS,
        # Equal seeds give equal trees.
        "deterministic": True,
        "force_col_wise": True,
        "seed": seed,
    }


def _single_row(booster: lightgbm.Booster) -> Callable[[Array], float]:
    """LightGBM's own path for one row: a third of the time that `Booster.predict` takes."""
    from lightgbm.basic import _LIB, _safe_call

    handle = ctypes.c_void_p()
    _safe_call(
        _LIB.LGBM_BoosterPredictForMatSingleRowFastInit(
            booster._handle,
            ctypes.c_int(RAW_SCORE),
            ctypes.c_int(0),
            ctypes.c_int(-1),
            ctypes.c_int(FLOAT64),
            ctypes.c_int32(booster.num_feature()),
            b"num_threads=1",
            ctypes.byref(handle),
        )
    )
    predict = _LIB.LGBM_BoosterPredictForMatSingleRowFast

    def score(row: Array, keep: tuple[Any, ...] = (booster,)) -> float:
        out, length = ctypes.c_double(), ctypes.c_int64()
        _safe_call(
            predict(
                handle, ctypes.c_void_p(row.ctypes.data), ctypes.byref(length), ctypes.byref(out)
            )
        )
        return out.value

    return score
