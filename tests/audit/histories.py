"""A lake with feature tables, an online store with the same rows, and a log of answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.online_features import publish
from agora.serving import Predictor
from agora.stores.drain import drain
from agora.stores.lake import Lake
from agora.stores.online import MemoryOnlineStore
from agora.stores.predictions import FilePredictionLog
from tests.toy_system import PAYMENT, SETS, ToyPipeline, toy_system

if TYPE_CHECKING:
    from pathlib import Path

    from agora.features import FeatureSet

ENTITIES = 200


def build_lake(folder: Path, seed: int = 0) -> Lake:
    """Feature tables of the toy system's sets, up to some hours ago."""
    lake, rng = Lake(str(folder / "lake")), np.random.default_rng(seed)
    now = datetime.now(UTC)
    for feature_set in SETS:
        ids = [str(n) for n in range(ENTITIES)] * 3
        at = [now - timedelta(hours=float(h)) for h in rng.uniform(1, 60, len(ids))]
        lake.write(feature_set.table, table(feature_set, ids, at, rng), partition_by="feature_date")
    return lake


def table(
    feature_set: FeatureSet, ids: list[str], at: list[datetime], rng: np.random.Generator
) -> pl.DataFrame:
    times = pl.Series(at).cast(pl.Datetime("us", "UTC"))
    values = np.where(rng.random((len(ids), len(feature_set.features))) < 0.1, np.nan, 1.0)
    values *= rng.exponential(10, values.shape)
    if "payment_count_30d" in feature_set.names:
        # The toy model adds it as it is.
        values[:, feature_set.names.index("payment_count_30d")] = rng.integers(0, 9, len(ids))
    return pl.DataFrame(
        {
            feature_set.entity.key: ids, "feature_at": times, "arrived_at": times,
            "feature_date": times.dt.date(),
            **{name: values[:, n] for n, name in enumerate(feature_set.names)},
        }
    ).with_columns(pl.col(feature_set.names).fill_nan(None))  # fmt: skip


def serve(
    lake: Lake, folder: Path, count: int, plant: Any = None, seed: int = 1
) -> MemoryOnlineStore:
    """Answer requests from the published features and drain the log.

    `plant(number, store)` may change the store before a request.
    """
    store, rng = MemoryOnlineStore(), np.random.default_rng(seed)
    for feature_set in SETS:
        publish(lake, store, feature_set)
    log = FilePredictionLog(folder / "prediction_log" / "toy")
    predictor = Predictor(toy_system(), ToyPipeline(), store, log)
    for number in range(count):
        if plant is not None:
            plant(number, store)
        ids = {"card_id": str(rng.integers(ENTITIES)), "customer_id": str(rng.integers(ENTITIES))}
        change = {"payment_id": f"p-{number}", "amount": float(rng.exponential(50))}
        predictor.predict_one({**PAYMENT, **ids, **change})
    log.close()
    assert drain(folder / "prediction_log" / "toy", lake) == count
    return store
