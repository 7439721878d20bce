"""Rows that say which they are, for tests of online stores."""

from __future__ import annotations

import itertools
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.features import Entity, Feature, FeatureSet
from agora.stores.valkey import ValkeyOnlineStore

if TYPE_CHECKING:
    import redis

    from agora.stores.online import OnlineStore

NOW = 1_780_000_000_000_000
COUNT = itertools.count()


def connect(url: str) -> ValkeyOnlineStore:
    return ValkeyOnlineStore(url, timeout=30.0)


def until_written(client: redis.Redis) -> None:
    """What a server was told is in its file: who kills the process then loses none of it.

    It writes before it answers, except while the disk takes longer than a second.
    """
    deadline = time.monotonic() + 60
    while client.info("persistence")["aof_buffer_length"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def new_set(width: int = 3) -> FeatureSet:
    """A feature set that no other test has written."""
    return FeatureSet(
        name=f"cards__test_{next(COUNT)}",
        entity=Entity("card", "A card."),
        features=tuple(Feature(f"f{i}", "A number.", float(-i)) for i in range(width)),
        description="One row per card.",
        freshness=timedelta(hours=1),
        owner="team:test",
    )


def write_rows(
    store: OnlineStore,
    feature_set: FeatureSet,
    ids: list[str],
    feature_at: Any,
    arrived_at: Any = None,
) -> int:
    """Rows whose values say which they are: feature_at, arrived_at, then zeros."""
    feature_at = NOW + np.asarray(feature_at, dtype=np.int64)
    arrived_at = feature_at if arrived_at is None else NOW + np.asarray(arrived_at, dtype=np.int64)
    values = np.zeros((len(ids), len(feature_set.features)))
    values[:, 0], values[:, 1] = feature_at - NOW, arrived_at - NOW
    return store.write(feature_set, ids, feature_at, arrived_at, values)


def read_rows(
    store: OnlineStore, feature_set: FeatureSet, ids: list[str | None]
) -> list[list[float]]:
    values: list[list[float]] = store.read([(feature_set, ids)])[0].values.tolist()
    return values
