"""The pipeline: one object from request and features to a decision, the same in training, batch and serving.

`predict` runs three visible stages: `decode` (columns to a model's input), `infer` (input to scores), `decide` (scores
to a decision). Columns are numpy arrays of equal length, so one request and a million rows take the same path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from pathlib import Path

    from agora.dataset import TrainingSet

Columns: TypeAlias = Mapping[str, np.ndarray[Any, Any]]
"""Equal-length arrays by column. Strings are objects (None where null), times int64 microseconds since the epoch in
UTC (`MISSING_TIME` where null), everything else float64 (NaN where null)."""

MISSING_TIME = -(2**63)


class Pipeline(Protocol):
    """What every system's model is. Saved as plain files, never as a pickle."""

    version: str
    """Model version, known once saved or loaded; empty before."""

    def fit(self, training_set: TrainingSet) -> Self:
        """Learn from the training set's own split."""
        ...

    def decode(self, columns: Columns) -> np.ndarray[Any, Any]:
        """Turn request columns and feature columns into the model's input, (n, width) float64."""
        ...

    def infer(self, matrix: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Turn the model's input into calibrated scores, (n,) float64."""
        ...

    def decide(self, scores: np.ndarray[Any, Any], columns: Columns) -> dict[str, list[Any]]:
        """Turn scores into the output columns of the system, each of length n."""
        ...

    def save(self, folder: Path) -> None:
        """Write plain files; `agora.pipeline.seal` adds the manifest."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        ...


def columns_of(frame: pl.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
    """The frame as `Columns`."""
    columns: dict[str, np.ndarray[Any, Any]] = {}
    for series in frame.iter_columns():
        if series.dtype == pl.String:
            columns[series.name] = np.array(series.to_list(), dtype=object)
        elif isinstance(series.dtype, pl.Datetime):
            stamps = series.dt.epoch("us").fill_null(MISSING_TIME)
            columns[series.name] = stamps.to_numpy()
        else:
            columns[series.name] = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return columns


def predict(pipeline: Pipeline, frame: pl.DataFrame) -> pl.DataFrame:
    """Score a frame through the three stages; the output has one row per input row, in order."""
    columns = columns_of(frame)
    return pl.DataFrame(pipeline.decide(pipeline.infer(pipeline.decode(columns)), columns))
