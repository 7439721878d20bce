"""A made-up training set: payments whose fraud follows the amount, the merchant and the hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from agora.dataset import TrainingSet
from agora.manifest import Span, TrainingSetManifest
from agora.systems.fraud import SYSTEM
from agora.systems.fraud.features import FEATURE_SETS

START = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = {"train": (0, 28), "calibration": (35, 42), "test": (49, 56)}
MICROSECONDS = timedelta(microseconds=1)
# Sums of the log-odds: one payment in fifty is a fraud.
BASE = -8.0


def payments(rows: int, seed: int = 0) -> pl.DataFrame:
    """Request columns and features, of which one in ten is unknown."""
    rng = np.random.default_rng(seed)
    first, last = START, START + timedelta(days=56)
    at = np.sort(rng.integers(0, (last - first) // MICROSECONDS, rows)) + first.timestamp() * 1e6
    amount = rng.lognormal(3, 1, rows)
    frame: dict[str, pl.Series | np.ndarray] = {
        "payment_id": pl.Series(range(rows)).cast(pl.String),
        **{key: _ids(rng, rows, 200) for key in ("customer_id", "card_id", "merchant_id")},
        "device_id": _ids(rng, rows, 200).set(pl.Series(rng.random(rows) < 0.1), None),
        "amount": amount,
        "currency": pl.Series(rng.choice(["EUR", "USD"], rows)),
        "channel": pl.Series(rng.choice(["web", "app", "in_store"], rows)),
        "country": pl.Series(rng.choice(["FR", "DE", "US"], rows)),
        "latitude": rng.uniform(40, 55, rows),
        "longitude": rng.uniform(-5, 15, rows),
        "event_at": pl.Series(at.astype(np.int64)).cast(pl.Datetime("us", "UTC")),
    }
    for feature_set in FEATURE_SETS:
        known = rng.random(rows) > 0.1
        for column, default in zip(feature_set.columns, feature_set.defaults, strict=True):
            frame[column] = np.where(known, rng.exponential(20, rows), default)
        behind = rng.integers(1, 2 * 86_400_000_000, rows)
        times = pl.Series(at.astype(np.int64) - behind).cast(pl.Datetime("us", "UTC"))
        frame[feature_set.time_column] = times.set(pl.Series(~known), None)
    return pl.DataFrame(frame)


def training_set(rows: int = 8_000, seed: int = 0) -> TrainingSet:
    """A labelled set with the usual split."""
    rng = np.random.default_rng(seed + 1)
    frame = payments(rows, seed)
    log_odds = (
        BASE
        + np.log1p(frame["amount"].to_numpy())
        + 0.03 * frame["merchant_fraud_count_7d"].fill_nan(0).to_numpy()
        + (frame["event_at"].dt.hour().to_numpy() < 6)
    )
    is_fraud = rng.random(rows) < 1 / (1 + np.exp(-log_odds))
    spans = {
        name: Span(
            start=START + timedelta(days=first),
            end=START + timedelta(days=last),
            known_at=START + timedelta(days=last + 7),
        )
        for name, (first, last) in DAYS.items()
    }
    split = pl.coalesce(
        pl.when(pl.col("event_at").is_between(s.start, s.end, closed="left")).then(pl.lit(name))
        for name, s in spans.items()
    )
    frame = frame.with_columns(
        is_fraud=pl.Series(is_fraud),
        label_arrived_at=pl.col("event_at") + timedelta(days=5),
        split=split,
    ).drop_nulls("split")
    counts = {name: frame.filter(pl.col("split") == name) for name in spans}
    manifest = TrainingSetManifest(
        system=SYSTEM.name,
        label=SYSTEM.label,
        as_of=START + timedelta(days=63),
        tables={"marts/payments": 3, "marts/payment_labels": 2},
        upstream={"raw/payments": 3},
        feature_sets=[feature_set.id for feature_set in FEATURE_SETS],
        dbt_manifest_hash="0" * 64,
        code_version="test",
        label_delay_seconds=7 * 86_400.0,
        spans=spans,
        rows={name: len(part) for name, part in counts.items()},
        positives={name: int(part["is_fraud"].sum()) for name, part in counts.items()},
        content_hash=str(seed),
    )
    return TrainingSet(frame, SYSTEM.label, manifest)


def _ids(rng: np.random.Generator, rows: int, different: int) -> pl.Series:
    return pl.Series(rng.integers(0, different, rows)).cast(pl.String)
