"""Training sets: labelled rows, features as then known, a split that production could have made.

`build_training_set` reads through a snapshot of the lake, so the manifest names what was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
import pyarrow as pa

from agora.items import catalogue_of
from agora.manifest import Span, TrainingSetManifest, code_version, content_hash, dbt_manifest_hash
from agora.point_in_time import point_in_time
from agora.stores.snapshot import Snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from agora.stores.lake import Lake
    from agora.system import System

SPANS = ("train", "calibration", "test")
SPLIT = "split"
ROW = "row_number"
LABEL_ARRIVED_AT = "label_arrived_at"
MANIFEST = "agora_manifest"
ITEMS_VERSION = "agora_items_version"

__all__ = [
    "Split", "TrainingSet", "TrainingSetManifest", "build_training_set", "end_of", "known_until",
    "point_in_time",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Split:
    """A split by time that respects how late labels come.

    Each span is used at a moment: training ends when calibration begins, calibration ends when the
    test begins, the test ends at `as_of`. At that moment a payments team knows the labels that
    have arrived, takes rows older than the label delay that nobody complained about for good, and
    cannot say anything of younger rows. So a span holds the rows that were older than the delay at
    its moment, with the labels known at its moment; between it and the next span lies a gap as
    long as the delay, as it will in production.

    Attributes:
        train_days: Days of rows to learn from.
        calibration_days: Days of rows to calibrate scores and choose thresholds with.
        test_days: Days of rows to evaluate on.
        label_delay: Age at which a row's label is taken as final.
        unlabelled: What a row older than the delay without a label is: `negative` (nobody
            complained: false or zero) or `dropped` (labels come for all rows).
    """

    train_days: int = 28
    calibration_days: int = 7
    test_days: int = 7
    label_delay: timedelta = timedelta(days=7)
    unlabelled: Literal["negative", "dropped"] = "negative"

    def spans(self, as_of: datetime) -> dict[str, Span]:
        """The three spans for a training set made at `as_of`, in order of time."""
        spans: dict[str, Span] = {}
        known_at = as_of
        lengths = (self.train_days, self.calibration_days, self.test_days)
        for name, days in zip(reversed(SPANS), reversed(lengths), strict=True):
            end = known_at - self.label_delay
            spans[name] = Span(start=end - timedelta(days=days), end=end, known_at=known_at)
            known_at = spans[name].start
        return {name: spans[name] for name in SPANS}


@dataclass(frozen=True)
class TrainingSet:
    """Labelled rows with features, split by time.

    Attributes:
        frame: Request columns, `event_at`, the label, `label_arrived_at`, features, `split`; in
            order of `event_at`. For a system of items one row per item shown.
        label: Column of the label.
        manifest: What it was made of.
        version: Delta version once saved or loaded, else None.
        items: The catalogue with the items' features as known when the test span began, which is
            what a pipeline makes its first index of; None for a system without items.
    """

    frame: pl.DataFrame
    label: str
    manifest: TrainingSetManifest
    version: int | None = None
    items: pl.DataFrame | None = None

    @property
    def train(self) -> pl.DataFrame:
        """Rows to learn from."""
        return self._span("train")

    @property
    def calibration(self) -> pl.DataFrame:
        """Rows to calibrate scores and choose thresholds with."""
        return self._span("calibration")

    @property
    def test(self) -> pl.DataFrame:
        """Rows to evaluate on."""
        return self._span("test")

    def save(self, lake: Lake, metadata: dict[str, str] | None = None) -> int:
        """Write `<system>/training_set` with the manifest in the commit; returns the version.

        The items go before it into `<system>/training_items`, whose version the commit names.
        """
        commit = {**(metadata or {}), MANIFEST: self.manifest.to_json()}
        if self.items is not None:
            held = lake.write(items_table_of(self.manifest.system), _numbered(self.items))
            commit[ITEMS_VERSION] = str(held)
        return lake.write(table_of(self.manifest.system), _numbered(self.frame), metadata=commit)

    @classmethod
    def load(cls, lake: Lake, system: str, version: int | None = None) -> TrainingSet:
        """Read what `save` wrote, at a version or the newest.

        Raises:
            LookupError: There is no such training set.
            ValueError: The rows are not those of the manifest.
        """
        table = table_of(system)
        if not lake.exists(table):
            raise LookupError(f"{table} has not been built")
        version = lake.version(table) if version is None else version
        commit = _commit(lake, table, version)
        if MANIFEST not in commit:
            raise LookupError(f"{table} version {version} has no manifest in its commit")
        manifest = TrainingSetManifest.from_json(commit[MANIFEST])
        frame = _read(lake, table, version, manifest.content_hash)
        items = None
        if manifest.items_hash:
            held = int(commit[ITEMS_VERSION])
            items = _read(lake, items_table_of(system), held, manifest.items_hash)
        return cls(frame, manifest.label, manifest, version, items)

    def _span(self, name: str) -> pl.DataFrame:
        return self.frame.filter(pl.col(SPLIT) == name)


def _numbered(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_row_index(ROW).cast({ROW: pl.Int64})


def _read(lake: Lake, table: str, version: int, expected: str) -> pl.DataFrame:
    """A table's rows in the order in which they were saved."""
    frame = lake.read(table, version=version).sort(ROW).drop(ROW)
    if content_hash(frame) != expected:
        raise ValueError(f"{table} version {version}: rows differ from the manifest's")
    return frame


def _commit(lake: Lake, table: str, version: int) -> dict[str, Any]:
    """What was committed with a version.

    deltalake lists the newest commits and numbers them down from the version of the table at hand,
    so only the newest table, which no writer has since made an older one, numbers them right.
    """
    while True:
        delta = lake.table(table)
        commits = delta.history()
        if lake.version(table) == delta.version():
            return next((commit for commit in commits if commit.get("version") == version), {})


def table_of(system: str) -> str:
    """Lake table of a system's training sets."""
    return f"{system}/training_set"


def items_table_of(system: str) -> str:
    """Lake table of the catalogues that belong to a system's training sets."""
    return f"{system}/training_items"


def build_training_set(
    system: System,
    lake: Lake,
    as_of: datetime,
    split: Split | None = None,
    *,
    dbt_manifest: Path | None = None,
    versions: dict[str, int] | None = None,
) -> TrainingSet:
    """Make the training set that could have been made at `as_of`.

    The same inputs give the same rows in the same order and the same manifest.

    Args:
        system: Whose.
        lake: What to read; tables are pinned when first read.
        as_of: Only what arrived before is used, labels included.
        split: Lengths of the spans and the label delay; the system's own when None.
        dbt_manifest: dbt's `manifest.json`, to name the SQL that made the features.
        versions: Delta versions to read instead of the newest: a former manifest's, to make its
            training set again.

    Raises:
        ValueError: `as_of` has no time zone, or the system's labelled rows lack a column.
        LookupError: A feature table has not been built.
    """
    if as_of.tzinfo is None:
        raise ValueError(f"as_of must have a time zone, got {as_of.isoformat()}")
    split = split or system.split or Split()
    snapshot = Snapshot.of(lake, versions)
    spans = split.spans(as_of)
    rows = pl.concat([_labelled(system, snapshot, split, name, spans[name]) for name in SPANS])
    keys, sets = dict(system.entities), list(system.feature_sets)
    if system.items is not None:
        keys[system.items.entity] = system.items.column
        sets += system.items.feature_sets
    frame = point_in_time(snapshot, rows, keys, sets)
    items = catalogue_of(system, snapshot, spans["test"].start) if system.items else None
    frame = frame.select(pl.exclude(SPLIT), SPLIT)
    counts = {name: frame.filter(pl.col(SPLIT) == name) for name in SPANS}
    manifest = TrainingSetManifest(
        system=system.name,
        label=system.label,
        as_of=as_of,
        tables=dict(sorted(snapshot.versions.items())),
        upstream={name: lake.version(name) for name in lake.tables() if name.startswith("raw/")},
        feature_sets=list(system.feature_set_ids),
        dbt_manifest_hash=dbt_manifest_hash(dbt_manifest) if dbt_manifest else "",
        code_version=code_version(),
        label_delay_seconds=split.label_delay.total_seconds(),
        spans=spans,
        rows={name: len(span) for name, span in counts.items()},
        positives={
            name: int((span[system.label].cast(pl.Float64) > 0).sum())
            for name, span in counts.items()
        },
        content_hash=content_hash(frame),
        items=0 if items is None else len(items),
        items_hash="" if items is None else content_hash(items),
    )
    return TrainingSet(frame, system.label, manifest, items=items)


def _labelled(system: System, lake: Lake, split: Split, name: str, span: Span) -> pl.DataFrame:
    """Rows of a span with their labels as known at its moment, always in the same order."""
    rows = system.labelled(lake, span.known_at)
    absent = {"event_at", LABEL_ARRIVED_AT, system.label} - set(rows.columns)
    if absent:
        raise ValueError(f"{system.name}: labelled rows lack {', '.join(sorted(absent))}")
    rows = rows.filter(pl.col("event_at").is_between(span.start, span.end, closed="left"))
    arrived = pl.col(LABEL_ARRIVED_AT) < span.known_at
    rows = rows.with_columns(pl.when(arrived).then(pl.col(system.label, LABEL_ARRIVED_AT)))
    label = pl.col(system.label)
    if split.unlabelled == "dropped":
        rows = rows.filter(label.is_not_null())
    elif rows.schema[system.label] == pl.Boolean:
        rows = rows.with_columns(label.fill_null(value=False))
    else:
        rows = rows.with_columns(label.fill_null(0))
    # What cannot be put in order follows what can, as the id of the request and of the item.
    others = [name for name, kind in rows.schema.items() if not kind.is_nested()]
    others.remove("event_at")
    return rows.sort("event_at", *others).with_columns(pl.lit(name).alias(SPLIT))


def known_until(lake: Lake, system: System) -> datetime:
    """Midnight after the last built day.

    The newest of the sets counts: one step builds all of them, and a set without an event on the
    last day has no row for it.

    Raises:
        LookupError: A feature table has not been built.
    """
    sets = (*system.feature_sets, *(system.items.feature_sets if system.items else ()))
    days = [end_of(lake, feature_set.table, "feature_date") for feature_set in sets]
    return datetime.combine(max(days), time(), UTC)


def end_of(lake: Lake, name: str, column: str) -> date:
    """The day after the newest partition of a table, from the Delta log alone.

    Raises:
        LookupError: The table has not been built.
    """
    if not lake.exists(name):
        raise LookupError(f"{name} has not been built")
    actions = pa.table(lake.table(name).get_add_actions(flatten=True))
    days = [str(day) for day in actions[f"partition.{column}"].to_pylist()]
    return date.fromisoformat(max(days, default="1970-01-01")) + timedelta(days=1)
