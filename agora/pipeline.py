"""The pipeline: one object from request to decision, the same in training, batch and serving.

`predict` runs three visible stages: `decode` (columns to a model's input), `infer` (input to
scores), `decide` (scores to a decision). Columns are numpy arrays of equal length, so one request
and a million rows take the same path. A pipeline is saved as plain files, sealed by
`agora.seals`.

A pipeline that chooses from items (`ItemPipeline`) begins with a fourth stage: `retrieve` finds
candidates for each row, and the three stages work on these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias, TypeGuard

import numpy as np
import polars as pl

from agora.candidates import Retrieved
from agora.seals import MANIFEST, Manifest, PipelineError, seal, verify

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from agora.candidates import Candidates
    from agora.cascade import Inferred, Tier
    from agora.dataset import TrainingSet

__all__ = [
    "MANIFEST", "MISSING_TIME", "Columns", "ItemPipeline", "Manifest", "Outputs", "Pipeline",
    "PipelineError", "columns_of", "predict", "scores", "seal", "verify",
]  # fmt: skip

Columns: TypeAlias = Mapping[str, np.ndarray[Any, Any]]
"""Equal-length arrays by column. Strings are objects (None where null), times int64 microseconds
since the epoch in UTC (`MISSING_TIME` where null), lists and structs objects (plain lists and
dictionaries; None where null), everything else float64 (NaN where null)."""

Outputs: TypeAlias = Mapping[str, pl.DataType | type[pl.DataType]]
"""Output columns and their types."""

MISSING_TIME = -(2**63)
# Rows decoded at once in batch: bounds memory (about 100 MB at 180 inputs) and stays in the caches.
CHUNK = 65_536


class Pipeline(Protocol):
    """What every system's model is. Saved as plain files, never as a pickle."""

    version: str
    """Model version, known once saved or loaded; empty before."""

    outputs: Outputs
    """Output columns of `decide`, with their types."""

    def fit(self, training_set: TrainingSet) -> Self:
        """Learn from the training set's own split."""
        ...

    def decode(self, columns: Columns) -> np.ndarray[Any, Any]:
        """Turn request columns and feature columns into the model's input, (n, width) float64."""
        ...

    @property
    def tiers(self) -> Sequence[Tier]:
        """Its models, cheapest first, as `infer` runs them; what a service runs one by one."""
        ...

    def infer(self, matrix: np.ndarray[Any, Any]) -> Inferred:
        """Turn the model's input into calibrated scores: all tiers, in this process."""
        ...

    def decide(
        self, inferred: Inferred, matrix: np.ndarray[Any, Any], columns: Columns
    ) -> dict[str, list[Any]]:
        """Turn scores into the output columns of the system, each of length n."""
        ...

    def save(self, folder: Path) -> None:
        """Write plain files; `agora.pipeline.seal` adds the manifest."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        ...


class ItemPipeline(Pipeline, Protocol):
    """A pipeline that chooses from items. It owns its index, which can be exchanged.

    The columns that `decode` and `decide` get are `Retrieved`; the matrix has one row per
    candidate, whose first two columns are the request's row and the item's row in the index.
    `decide` gives one row per request, among them `score`: the list's, as the log keeps it.
    What it calls must not keep state between requests: two may run at once.
    """

    rows_at_once: int
    """Requests that are answered at once in batch: bounds memory."""

    @property
    def item_ids(self) -> np.ndarray[Any, Any]:
        """Id of each row of the index, objects (n,)."""
        ...

    def retrieve(self, columns: Columns, without: Collection[str] = ()) -> Candidates:
        """Candidates of each request.

        Args:
            columns: Requests with their features.
            without: Strategies that are to be taken as not answering, as in a replay.

        Raises:
            RetrievalError: No strategy answered.
        """
        ...

    def popular(self, columns: Columns) -> dict[str, list[Any]]:
        """Output columns for each request, from request fields and index alone; cannot fail."""
        ...

    def relist(self, kept: Mapping[str, Any], columns: Columns) -> dict[str, list[Any]] | None:
        """What a list that was made in batch becomes for this one request: cut, filtered.

        Args:
            kept: Output columns of the list, one value each.
            columns: The one request.

        Returns:
            Output columns; None where the list does not serve.
        """
        ...

    def with_items(self, items: pl.DataFrame) -> Self:
        """The same models over a new index, of what `catalogue_of` gave."""
        ...

    def save_index(self, folder: Path) -> None:
        """Write the index alone, as plain files into an empty folder."""
        ...

    def load_index(self, folder: Path) -> Self:
        """The same models over what `save_index` wrote; this pipeline stays as it is."""
        ...


def columns_of(frame: pl.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
    """The frame as `Columns`."""
    columns: dict[str, np.ndarray[Any, Any]] = {}
    for series in frame.iter_columns():
        if series.dtype == pl.String:
            columns[series.name] = np.array(series.to_list(), dtype=object)
        elif series.dtype.is_nested():
            columns[series.name] = _objects(series)
        elif isinstance(series.dtype, pl.Datetime):
            stamps = series.dt.epoch("us").fill_null(MISSING_TIME)
            columns[series.name] = stamps.to_numpy()
        else:
            columns[series.name] = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return columns


def is_of_items(pipeline: Pipeline) -> TypeGuard[ItemPipeline]:
    """Whether a pipeline retrieves before it decodes."""
    return hasattr(pipeline, "retrieve")


def retrieved(pipeline: Pipeline, columns: Columns, without: Collection[str] = ()) -> Columns:
    """Columns with their candidates; as they are where they have them, or need none.

    Args:
        pipeline: Any.
        columns: Requests with their features.
        without: Strategies that are to be taken as not answering.
    """
    if isinstance(columns, Retrieved) or not is_of_items(pipeline):
        return columns
    return Retrieved(columns, pipeline.retrieve(columns, without))


def chunks(pipeline: Pipeline, frame: pl.DataFrame) -> Iterator[Columns]:
    """The frame's columns, with candidates, as many rows at once as the pipeline takes."""
    size = pipeline.rows_at_once if is_of_items(pipeline) else CHUNK
    for start in range(0, max(frame.height, 1), size):
        yield retrieved(pipeline, columns_of(frame.slice(start, size)))


def predict(pipeline: Pipeline, frame: pl.DataFrame) -> pl.DataFrame:
    """Score a frame through all stages; the output has one row per input row, in order."""
    parts = []
    for columns in chunks(pipeline, frame):
        matrix = pipeline.decode(columns)
        decided = pipeline.decide(pipeline.infer(matrix), matrix, columns)
        parts.append(pl.DataFrame(decided, schema=dict(pipeline.outputs)))
    return pl.concat(parts)


def scores(pipeline: Pipeline, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
    """Scores of a frame's rows, without the decisions; a list's score is its `score` column."""
    if is_of_items(pipeline):
        return predict(pipeline, frame)["score"].to_numpy()
    parts = [pipeline.infer(pipeline.decode(columns)).scores for columns in chunks(pipeline, frame)]
    return np.concatenate(parts)


def _objects(series: pl.Series) -> np.ndarray[Any, Any]:
    # Not np.array: it would make a matrix of lists of one length.
    return np.fromiter(series.to_list(), dtype=object, count=len(series))
