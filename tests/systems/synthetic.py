"""Made-up rows for any system, from its request model and its feature sets alone.

The label follows the first feature, so that there is something to learn.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.dataset import Split, TrainingSet
from agora.manifest import Span, TrainingSetManifest

if TYPE_CHECKING:
    from agora.system import System

AS_OF = datetime(2026, 5, 4, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")
DAY_MICROSECONDS = 86_400_000_000
UNKNOWN_SHARE = 0.1
PATTERNS = {"^[A-Z]{2}$": ("FR", "DE", "US"), "^[A-Z]{3}$": ("EUR", "USD")}


def rows(system: System, n: int, seed: int = 0, split: Split | None = None) -> pl.DataFrame:
    """Request columns, feature columns and their times; one entity in ten is unknown."""
    rng = np.random.default_rng(seed)
    spans = (split or system.split or Split()).spans(AS_OF)
    first, last = min(s.start for s in spans.values()), max(s.end for s in spans.values())
    micros = [int(time.timestamp()) * 1_000_000 for time in (first, last)]
    at = np.sort(rng.integers(*micros, n))
    frame = {
        name: _request(schema, rng, n)
        for name, schema in system.request.model_json_schema()["properties"].items()
    }
    frame["event_at"] = pl.Series(at).cast(TIME)
    for feature_set in system.feature_sets:
        known = rng.random(n) > UNKNOWN_SHARE
        for column, default in zip(feature_set.columns, feature_set.defaults, strict=True):
            values = rng.uniform(-60, 60, n) if "itude" in column else rng.exponential(20, n)
            frame[column] = pl.Series(np.where(known, values, default))
        behind = rng.integers(1, 2 * DAY_MICROSECONDS, n)
        frame[feature_set.time_column] = (
            pl.Series(at - behind).cast(TIME).set(pl.Series(~known), None)
        )
    return pl.DataFrame(frame)


def training_set(system: System, n: int = 4_000, seed: int = 0) -> TrainingSet:
    """A labelled set in the system's own split; one row in twelve is positive."""
    spans = (system.split or Split()).spans(AS_OF)
    frame = rows(system, n, seed)
    signal = frame[system.feature_sets[0].columns[0]].fill_nan(0).to_numpy()
    noise = np.random.default_rng(seed + 1).logistic(0, 0.7, n)
    frame = frame.with_columns(
        pl.Series(signal / 20 + noise > 2.9).alias(system.label),
        label_arrived_at=pl.col("event_at") + timedelta(days=5),
        split=pl.coalesce(
            pl.when(pl.col("event_at").is_between(s.start, s.end, closed="left")).then(pl.lit(name))
            for name, s in spans.items()
        ),
    ).drop_nulls("split")
    return TrainingSet(frame, system.label, manifest(system, frame, spans))


def manifest(system: System, frame: pl.DataFrame, spans: dict[str, Span]) -> TrainingSetManifest:
    parts = {name: frame.filter(pl.col("split") == name) for name in spans}
    return TrainingSetManifest(
        system=system.name,
        label=system.label,
        as_of=AS_OF,
        tables={"marts/payments": 3},
        upstream={"raw/payments": 3},
        feature_sets=[feature_set.id for feature_set in system.feature_sets],
        dbt_manifest_hash="0" * 64,
        code_version="test",
        label_delay_seconds=7 * 86_400.0,
        spans=spans,
        rows={name: len(part) for name, part in parts.items()},
        positives={name: int(part[system.label].sum()) for name, part in parts.items()},
        content_hash="0" * 64,
    )


def _request(schema: dict[str, Any], rng: np.random.Generator, n: int) -> pl.Series:
    """Values that the request model accepts; null now and then where it may be."""
    options = schema.get("anyOf", [schema])
    kind = next(option for option in options if option.get("type") != "null")
    if "enum" in kind:
        values = pl.Series(rng.choice(kind["enum"], n))
    elif kind["type"] == "number":
        low = max(kind.get("minimum", 0.0), -1e3)
        high = min(kind.get("maximum", 1e3), 1e3)
        values = pl.Series(np.clip(rng.exponential(50, n), low, high))
    elif kind["type"] == "integer":
        values = pl.Series(rng.integers(kind.get("minimum", 0), kind.get("maximum", 9) + 1, n))
    elif kind["type"] == "boolean":
        values = pl.Series(rng.random(n) < 0.5)
    elif "pattern" in kind:
        values = pl.Series(rng.choice(PATTERNS[kind["pattern"]], n))
    else:
        values = pl.Series(rng.integers(0, 300, n)).cast(pl.String)
    nullable = any(option.get("type") == "null" for option in options)
    return values.set(pl.Series(rng.random(n) < UNKNOWN_SHARE), None) if nullable else values
