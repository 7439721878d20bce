"""What a training set was made of: input versions, code, spans, counts, and a hash of the rows."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl


@dataclass(frozen=True, slots=True)
class Span:
    """Rows with `event_at` in [start, end), with the labels that had arrived before `known_at`."""

    start: datetime
    end: datetime
    known_at: datetime


@dataclass(frozen=True, slots=True)
class TrainingSetManifest:
    """What a training set was made of.

    Attributes:
        system: Whose it is.
        label: Column of the label.
        as_of: Nothing that arrived later was used.
        tables: Delta version of each table that was read.
        upstream: Delta version of each raw table when this was made: what the inputs can stand on.
        feature_sets: Ids of the feature sets.
        dbt_manifest_hash: The SQL that made the features; empty when not given.
        code_version: Git commit, or the package's version outside of a checkout.
        label_delay_seconds: Age at which a row's label is taken as final.
        spans: Bounds of train, calibration and test.
        rows: Rows in each span.
        positives: Rows in each span whose label is above zero.
        content_hash: Hash of names, types and values of the rows, in order.
        items: Items of the catalogue at the start of the test span; 0 for a system without.
        items_hash: Hash of the catalogue's rows; empty for a system without.
    """

    system: str
    label: str
    as_of: datetime
    tables: dict[str, int]
    upstream: dict[str, int]
    feature_sets: list[str]
    dbt_manifest_hash: str
    code_version: str
    label_delay_seconds: float
    spans: dict[str, Span]
    rows: dict[str, int]
    positives: dict[str, int]
    content_hash: str
    items: int = 0
    items_hash: str = ""

    def to_json(self) -> str:
        """The manifest as JSON; times as ISO 8601."""
        return json.dumps(asdict(self), default=datetime.isoformat, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> TrainingSetManifest:
        """Read what `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        fields["as_of"] = datetime.fromisoformat(fields["as_of"])
        fields["spans"] = {
            name: Span(**{key: datetime.fromisoformat(time) for key, time in span.items()})
            for name, span in fields["spans"].items()
        }
        return cls(**fields)


def content_hash(frame: pl.DataFrame) -> str:
    """SHA-256 of the frame's names, types and values, in order."""
    digest = hashlib.sha256(str(len(frame)).encode())
    for series in frame.rechunk().iter_columns():
        digest.update(f"\n{series.name} {series.dtype}\n".encode())
        digest.update(series.is_null().cast(pl.UInt8).to_numpy().tobytes())
        for buffer in _buffers(series):
            digest.update(buffer)
    return digest.hexdigest()


def code_version() -> str:
    """Git commit of this code, `+dirty` when changed since, or the package's version."""
    package = Path(__file__).parent
    try:
        _git(package, "ls-files", "--error-unmatch", Path(__file__).name)
        commit = _git(package, "rev-parse", "HEAD")
        return commit + ("+dirty" if _git(package, "status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return version("agora")


def dbt_manifest_hash(manifest: Path) -> str:
    """SHA-256 of the SQL and settings in dbt's manifest; its times and run ids do not count."""
    content = json.loads(manifest.read_text())
    code = {
        unique_id: [node.get("raw_code"), node.get("macro_sql"), node.get("checksum")]
        for kind in ("nodes", "macros", "sources")
        for unique_id, node in content.get(kind, {}).items()
    }
    return hashlib.sha256(json.dumps(code, sort_keys=True).encode()).hexdigest()


def _buffers(series: pl.Series) -> list[bytes]:
    """The values' bytes; what lies below a null is replaced, since it may be anything."""
    if series.dtype.is_nested():
        series = pl.select(pl.struct(series).struct.json_encode()).to_series()
    if series.dtype == pl.String:
        text = series.fill_null("")
        return [text.str.len_bytes().to_numpy().tobytes(), "".join(text).encode()]
    if series.dtype.is_temporal():
        series = series.to_physical()
    if series.dtype == pl.Boolean:
        series = series.cast(pl.UInt8)
    return [series.fill_null(0).to_numpy().tobytes()]


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
