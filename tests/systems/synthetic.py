"""Made-up rows for any system, from its request model and its feature sets alone.

The label follows the first feature, so that there is something to learn; in systems of items the
first feature of the item that was shown.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.dataset import Split, TrainingSet
from agora.manifest import Span, TrainingSetManifest
from agora.serving.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.features import FeatureSet
    from agora.system import System

AS_OF = datetime(2026, 5, 4, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")
DAY_MICROSECONDS = 86_400_000_000
UNKNOWN_SHARE = 0.1
ITEMS, LIST_LENGTH = 300, 10
WORDS = ("red", "blue", "green", "light", "warm", "small", "shoe", "lamp", "chair", "coat", "cup")
CATEGORIES = ("clothing", "home", "kitchen", "garden")
PATTERNS = {"^[A-Z]{2}$": ("FR", "DE", "US"), "^[A-Z]{3}$": ("EUR", "USD")}


def rows(system: System, n: int, seed: int = 0, split: Split | None = None) -> pl.DataFrame:
    """Request columns, feature columns and their times; one entity in ten is unknown."""
    rng = np.random.default_rng(seed)
    spans = (split or system.split or Split()).spans(AS_OF)
    first, last = min(s.start for s in spans.values()), max(s.end for s in spans.values())
    micros = [int(time.timestamp()) * 1_000_000 for time in (first, last)]
    at = np.sort(rng.integers(*micros, n))
    schema = system.request.model_json_schema()
    dtypes = Fields(system.request).dtypes
    frame = {
        name: pl.Series(name, _request(each, schema.get("$defs", {}), rng, n)).cast(dtypes[name])
        if dtypes[name].is_nested()
        else pl.Series(name, _request(each, schema.get("$defs", {}), rng, n))
        for name, each in schema["properties"].items()
    }
    frame["event_at"] = pl.Series(at).cast(TIME)
    return pl.DataFrame(frame | _features(system.feature_sets, rng, at))


def catalogue(system: System, n: int = ITEMS, seed: int = 0) -> pl.DataFrame:
    """Items as `catalogue_of` gives them; their ids are among those that requests name."""
    assert system.items is not None
    rng = np.random.default_rng(seed)
    at = np.full(n, int(AS_OF.timestamp()) * 1_000_000)
    words = rng.choice(WORDS, (n, 3))
    frame = {
        system.items.column: pl.Series([str(number) for number in range(n)]),
        "title": pl.Series([" ".join(each) for each in words]),
        "description": pl.Series([f"A {a} {b}, with {c}." for a, b, c in words]),
        "category": pl.Series(rng.choice(CATEGORIES, n)),
        "merchant_id": pl.Series(rng.integers(0, 20, n)).cast(pl.String),
        "price": pl.Series(rng.exponential(40, n) + 1),
        "currency": pl.Series(["EUR"] * n),
        "stock": pl.Series(rng.integers(0, 50, n)),
        "listed_at": pl.Series(at - rng.integers(0, 90 * DAY_MICROSECONDS, n)).cast(TIME),
    }
    made = pl.DataFrame(frame | _features(system.items.feature_sets, rng, at))
    return made.sort(system.items.column)


def training_set(system: System, n: int = 4_000, seed: int = 0) -> TrainingSet:
    """A labelled set in the system's own split; one row in twelve is positive."""
    spans = (system.split or Split()).spans(AS_OF)
    items = catalogue(system) if system.items else None
    frame = rows(system, n, seed) if items is None else _shown(system, items, n, seed)
    sets = (system.items or system).feature_sets
    signal = frame[sets[0].columns[0]].fill_nan(0).to_numpy()
    noise = np.random.default_rng(seed + 1).logistic(0, 0.7, n)
    frame = frame.with_columns(
        pl.Series(signal / 20 + noise > 2.9).alias(system.label),
        label_arrived_at=pl.col("event_at") + timedelta(days=5),
        split=pl.coalesce(
            pl.when(pl.col("event_at").is_between(s.start, s.end, closed="left")).then(pl.lit(name))
            for name, s in spans.items()
        ),
    ).drop_nulls("split")
    return TrainingSet(frame, system.label, manifest(system, frame, spans), items=items)


def _shown(system: System, items: pl.DataFrame, n: int, seed: int) -> pl.DataFrame:
    """Lists of ten items of the catalogue, one row per item shown, `n` in all."""
    assert system.items is not None
    rng = np.random.default_rng(seed + 2)
    asked = rows(system, -(-n // LIST_LENGTH), seed)
    lists = asked[np.repeat(np.arange(len(asked)), LIST_LENGTH)[:n]]
    kept = [
        system.items.column,
        *(c for each in system.items.feature_sets for c in (*each.columns, each.time_column)),
    ]
    shown = items.select(kept)[rng.integers(0, len(items), n)]
    places = pl.Series("position", np.arange(n) % LIST_LENGTH + 1)
    fair = pl.Series("propensity", np.full(n, 1 / len(items)))
    return pl.concat([lists, pl.DataFrame([places, fair]), shown], how="horizontal")


def _features(
    feature_sets: Sequence[FeatureSet], rng: np.random.Generator, at: np.ndarray[Any, Any]
) -> dict[str, pl.Series]:
    frame = {}
    for feature_set in feature_sets:
        known = rng.random(len(at)) > UNKNOWN_SHARE
        for column, default in zip(feature_set.columns, feature_set.defaults, strict=True):
            n = len(at)
            values = rng.uniform(-60, 60, n) if "itude" in column else rng.exponential(20, n)
            frame[column] = pl.Series(np.where(known, values, default))
        behind = rng.integers(1, 2 * DAY_MICROSECONDS, len(at))
        frame[feature_set.time_column] = (
            pl.Series(at - behind).cast(TIME).set(pl.Series(~known), None)
        )
    return frame


def manifest(system: System, frame: pl.DataFrame, spans: dict[str, Span]) -> TrainingSetManifest:
    parts = {name: frame.filter(pl.col("split") == name) for name in spans}
    return TrainingSetManifest(
        system=system.name,
        label=system.label,
        as_of=AS_OF,
        tables={"marts/payments": 3},
        upstream={"raw/payments": 3},
        feature_sets=list(system.feature_set_ids),
        dbt_manifest_hash="0" * 64,
        code_version="test",
        label_delay_seconds=7 * 86_400.0,
        spans=spans,
        rows={name: len(part) for name, part in parts.items()},
        positives={name: int(part[system.label].sum()) for name, part in parts.items()},
        content_hash="0" * 64,
    )


def _request(
    schema: dict[str, Any], known: dict[str, Any], rng: np.random.Generator, n: int
) -> pl.Series:
    """Values that the request model accepts; null now and then where it may be."""
    options = schema.get("anyOf", [schema])
    kind = next(option for option in options if option.get("type") != "null")
    if "$ref" in kind:
        kind = known[kind["$ref"].rpartition("/")[2]]
    if "enum" in kind or "const" in kind:
        values = pl.Series(rng.choice(kind.get("enum", [kind.get("const")]), n))
    elif kind["type"] == "array":
        lengths = rng.integers(kind.get("minItems", 0), 1 + min(kind.get("maxItems", 5), 5), n)
        each = _request(kind["items"], known, rng, int(lengths.sum())).to_list()
        ends = np.cumsum(lengths)
        values = pl.Series(
            [each[end - length : end] for end, length in zip(ends, lengths, strict=True)]
        )
    elif kind["type"] == "object":
        fields = {
            name: _request(each, known, rng, n).alias(name)
            for name, each in kind["properties"].items()
        }
        values = pl.DataFrame(fields).to_struct()
    elif kind["type"] == "number":
        low = max(kind.get("minimum", 0.0), -1e3)
        high = min(kind.get("maximum", 1e3), 1e3)
        values = pl.Series(np.clip(rng.exponential(50, n), low, high))
    elif kind["type"] == "integer":
        high = min(kind.get("maximum", 9), 50)
        values = pl.Series(rng.integers(kind.get("minimum", 0), high + 1, n))
    elif kind["type"] == "boolean":
        values = pl.Series(rng.random(n) < 0.5)
    elif kind.get("format") == "date-time":
        times = rng.integers(0, 60 * DAY_MICROSECONDS, n)
        values = pl.Series(int(AS_OF.timestamp()) * 1_000_000 - times).cast(TIME)
    elif "pattern" in kind:
        values = pl.Series(rng.choice(PATTERNS[kind["pattern"]], n))
    elif kind.get("title", "").lower() == "query":
        values = pl.Series([" ".join(each) for each in rng.choice(WORDS, (n, 2))], dtype=pl.String)
    else:
        values = pl.Series(rng.integers(0, ITEMS, n)).cast(pl.String)
    nullable = any(option.get("type") == "null" for option in options)
    if not nullable:
        return values
    absent = pl.Series("absent", rng.random(n) < UNKNOWN_SHARE)
    return pl.select(pl.when(~absent).then(values)).to_series()
