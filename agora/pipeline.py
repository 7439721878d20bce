"""The pipeline: one object from request to decision, the same in training, batch and serving.

`predict` runs three visible stages: `decode` (columns to a model's input), `infer` (input to
scores), `decide` (scores to a decision). Columns are numpy arrays of equal length, so one request
and a million rows take the same path. A pipeline is saved as plain files; `seal` writes the
manifest that names them, `verify` refuses a folder that differs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version as library_version
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from pathlib import Path

    from agora.cascade import Inferred, Tier
    from agora.dataset import TrainingSet

Columns: TypeAlias = Mapping[str, np.ndarray[Any, Any]]
"""Equal-length arrays by column. Strings are objects (None where null), times int64 microseconds
since the epoch in UTC (`MISSING_TIME` where null), everything else float64 (NaN where null)."""

Outputs: TypeAlias = Mapping[str, pl.DataType | type[pl.DataType]]
"""Output columns and their types."""

MISSING_TIME = -(2**63)
MANIFEST = "manifest.json"
# Rows decoded at once in batch: bounds memory (about 100 MB at 180 inputs) and stays in the caches.
CHUNK = 65_536


class PipelineError(RuntimeError):
    """A saved pipeline that cannot be used: torn, changed, or made for other features."""


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
    parts = []
    for start in range(0, max(frame.height, 1), CHUNK):
        columns = columns_of(frame.slice(start, CHUNK))
        matrix = pipeline.decode(columns)
        decided = pipeline.decide(pipeline.infer(matrix), matrix, columns)
        parts.append(pl.DataFrame(decided, schema=dict(pipeline.outputs)))
    return pl.concat(parts)


def scores(pipeline: Pipeline, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
    """Calibrated scores of a frame's rows, without the decisions."""
    parts = [
        pipeline.infer(pipeline.decode(columns_of(frame.slice(start, CHUNK)))).scores
        for start in range(0, frame.height, CHUNK)
    ]
    return np.concatenate(parts) if parts else np.empty(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a saved pipeline says of itself.

    Attributes:
        system: System that it belongs to.
        version: Model version; empty until it is registered.
        inputs: Columns that `decode` reads.
        outputs: Output columns and their types.
        feature_sets: Ids of the feature sets it was fitted on.
        params: Training configuration.
        libraries: Versions of the libraries that the files need.
        files: SHA-256 by file name.
    """

    system: str
    version: str
    inputs: tuple[str, ...]
    outputs: dict[str, str]
    feature_sets: tuple[str, ...]
    params: dict[str, Any]
    libraries: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def seal(
    folder: Path,
    *,
    system: str,
    version: str,
    inputs: tuple[str, ...],
    outputs: Outputs,
    feature_sets: tuple[str, ...],
    params: Mapping[str, Any],
    libraries: tuple[str, ...],
) -> Manifest:
    """Write the manifest over all files of the folder, last and whole: a torn save is seen."""
    manifest = Manifest(
        system=system,
        version=version,
        inputs=inputs,
        outputs={name: str(kind) for name, kind in outputs.items()},
        feature_sets=feature_sets,
        params=dict(params),
        libraries={name: library_version(name) for name in libraries},
        files={
            path.name: _sha256(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST
        },
    )
    draft = folder / f".{MANIFEST}"
    draft.write_text(json.dumps(asdict(manifest), indent=1))
    draft.replace(folder / MANIFEST)
    return manifest


def verify(folder: Path, *, system: str, feature_sets: tuple[str, ...]) -> Manifest:
    """Read the manifest and check every file that it names.

    Raises:
        PipelineError: The folder is torn or changed, or of another system or other features.
    """
    try:
        manifest = _manifest(json.loads((folder / MANIFEST).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise PipelineError(
            f"{folder}: no readable {MANIFEST}; the save was not finished"
        ) from error
    for name, digest in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise PipelineError(f"{folder}: {name} is missing")
        if _sha256(path) != digest:
            raise PipelineError(f"{folder}: {name} differs from what was saved")
    if manifest.system != system:
        raise PipelineError(f"{folder}: a pipeline of {manifest.system!r}, not of {system!r}")
    if manifest.feature_sets != feature_sets:
        differing = sorted(set(manifest.feature_sets) ^ set(feature_sets))
        raise PipelineError(f"{folder}: fitted on other feature sets; differing: {differing}")
    return manifest


def _manifest(fields: dict[str, Any]) -> Manifest:
    lists = {name: tuple(fields[name]) for name in ("inputs", "feature_sets")}
    return Manifest(**{**fields, **lists})


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
