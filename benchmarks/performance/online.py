"""The online store on a real Valkey: rows written a second, and how long a read takes.

The embedded server on its Unix socket, with its append-only file, as it comes.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from agora.features import Entity, Feature, FeatureSet
from agora.online_features import read_online
from agora.stores import embedded
from agora.stores.valkey import ValkeyOnlineStore

CARD = Entity("card", "A payment card.")
WIDTH = 20
WRITES_TARGET = 50_000
# Microseconds by number of rows read at once: twice what a bare client was measured to take.
READ_TARGETS = {1: 100, 100: 400, 500: 1_500}
REQUEST_TARGET = 200


def run(rows: int = 100_000, repeats: int = 5, reads: int = 2_000) -> list[dict[str, Any]]:
    """Writes of new rows, reads of 1, 100 and 500 rows, and one request over eight sets."""
    sets = [_set(i) for i in range(8)]
    with tempfile.TemporaryDirectory() as folder:
        store = ValkeyOnlineStore(embedded.start(Path(folder)))
        try:
            seconds = [_write(store, sets[0], rows, moment) for moment in range(repeats)]
            for feature_set in sets[1:]:
                _write(store, feature_set, min(rows, 1_000), 0)
            results = [_result("online_writes_per_second", rows / statistics.median(seconds),
                               WRITES_TARGET, "rows/s", at_least=True)]  # fmt: skip
            for size, target in READ_TARGETS.items():
                took = _read(store, sets[0], size, min(rows, 10_000), reads)
                results.append(_result(f"online_read_{size}_us", took, target, "us"))
            results.append(
                _result("online_request_us", _request(store, sets, reads), REQUEST_TARGET, "us")
            )
        finally:
            store.close()
            embedded.stop(Path(folder))
    return results


def _set(number: int) -> FeatureSet:
    return FeatureSet(
        name=f"cards__benchmark_{number}",
        entity=CARD,
        features=tuple(Feature(f"s{number}f{i}", "A number.") for i in range(WIDTH)),
        description="One row per card.",
        freshness=timedelta(days=1),
        owner="team:benchmark",
    )


def _write(store: ValkeyOnlineStore, feature_set: FeatureSet, rows: int, moment: int) -> float:
    ids = [f"card-{i}" for i in range(rows)]
    times = np.full(rows, moment)
    values = np.random.default_rng(moment).random((rows, WIDTH))
    start = time.perf_counter()
    written = store.write(feature_set, ids, times, times, values)
    seconds = time.perf_counter() - start
    if written != rows:
        raise RuntimeError(f"{written} of {rows} rows were written")
    return seconds


def _read(
    store: ValkeyOnlineStore, feature_set: FeatureSet, size: int, entities: int, reads: int
) -> float:
    asked = np.random.default_rng(0).integers(0, entities, (reads, size))
    batches = [[f"card-{i}" for i in batch] for batch in asked]
    return _median_us(lambda i: store.read([(feature_set, batches[i])]), reads)


def _request(store: ValkeyOnlineStore, sets: list[FeatureSet], reads: int) -> float:
    return _median_us(lambda i: read_online(store, sets, {CARD: [f"card-{i % 1_000}"]}), reads)


def _median_us(read: Any, reads: int) -> float:
    times = []
    for i in range(reads):
        start = time.perf_counter()
        read(i)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def _result(
    metric: str, value: float, target: float, unit: str, *, at_least: bool = False
) -> dict[str, Any]:
    return {
        "benchmark": "features",
        "system": "features",
        "metric": metric,
        "value": round(value, 1),
        "target": target,
        "reference": f"Valkey on a Unix socket, append-only file, {WIDTH} features",
        "unit": unit,
        "met": bool(value >= target if at_least else value <= target),
    }


if __name__ == "__main__":
    for result in run():
        print(result)
