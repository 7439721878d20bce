"""POST /recommend among a million products: index, retrieval, ranking, and the service's answers.

`python -m benchmarks.performance.recommend FOLDER ITEMS` builds and measures in a process of its
own, on one core; CPU time is measured, as other processes only slow the wall's. Recall is measured
with requests that the index was not made by, without a filter and under filters of three sizes. The
service then answers eight clients on that core, each request with another customer's history; what
a fallback answered is not an answer: such are counted, and none may be.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.settings import Settings
from agora.stores.valkey import open_online, stop_online
from agora.systems.recommendation import SYSTEM
from agora.systems.recommendation.pipeline import RecommendationPipeline
from benchmarks.performance.http_load import ID
from benchmarks.performance.pinned import pinned
from benchmarks.performance.recommend_recall import recalls
from benchmarks.performance.recommend_shop import (
    NOW,
    catalogue,
    history,
    known,
    replaced,
    requests,
    within_a_day,
)
from benchmarks.performance.score import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agora.pipeline import Columns

ITEMS, CUSTOMERS, REQUESTS, BODIES = 1_000_000, 100_000, 300, 500
# Requests of which recall is measured; products that change within a day, of a million.
COMPARED, CHANGED = 50, 5_000
# Share of the products that a filter leaves.
FILTERS = (0.5, 0.1, 0.01)
TARGETS = {
    "retrieval_p99_ms": 10.0,
    "retrieval_recall": 0.95,
    **{f"recall_of_{100 * share:g}_percent": 0.95 for share in FILTERS},
    "ranking_p99_ms": 50.0,
    "index_build_seconds": 300.0,
    "index_peak_mb": 4_096.0,
    "recommend_p99_ms": 60.0,
    "degraded_answers": 0.0,
}
AT_LEAST = tuple(name for name in TARGETS if "recall" in name)
UNITS = {"ms": "ms", "seconds": "s", "mb": "MB"}


def run(items: int = ITEMS, customers: int = CUSTOMERS) -> list[dict[str, Any]]:
    """Build, measure in process, then through HTTP."""
    with tempfile.TemporaryDirectory(prefix="agora-recommend-") as scratch, ExitStack() as stack:
        settings = Settings(home=Path(scratch))
        stack.callback(stop_online, settings)
        folder = settings.home / "model"
        found = _alone(folder, items)
        _publish(settings, items, customers)
        service = stack.enter_context(pinned(SYSTEM, settings, folder))
        bodies = [json.dumps(visit) for visit in _visits(items, customers)]
        service.load(bodies, 400)
        loaded = service.load(bodies, 2_000)
        found |= {
            "recommend_p50_ms": float(np.quantile(loaded["latencies"], 0.5)),
            "recommend_p99_ms": float(np.quantile(loaded["latencies"], 0.99)),
            "recommend_cpu_ms": loaded["cpu_us"] / 1e3,
            "degraded_answers": service.degraded(),
            "service_mb": service.megabytes(),
        }
    return [_row(name, value, items) for name, value in found.items()]


def measured(folder: Path, items: int) -> dict[str, float]:
    """Fit, build the index, and time what one request costs; see `TARGETS`."""
    import resource
    from time import process_time

    from tests.systems.recommendation.shop import SMALL
    from tests.systems.synthetic import training_set

    fitted = RecommendationPipeline(replaced(SMALL)).fit(training_set(SYSTEM))
    listed = catalogue(items)
    known(fitted, listed)
    started = process_time()
    pipeline = fitted.with_items(listed)
    build = process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pipeline.version = "1"
    pipeline.save(folder)
    started = process_time()
    changed = pipeline.with_items(within_a_day(listed, CHANGED * items // ITEMS))
    update = process_time() - started
    late = max(each.late for each in changed.index_.vectors.values())
    return {
        "index_build_seconds": build,
        "index_peak_mb": peak,
        "index_update_seconds": update,
        "vectors_updated": float(late),
        **timed(pipeline, requests(items, REQUESTS)),
        **recalls(pipeline, [*requests(items, COMPARED)], FILTERS),
    }


def timed(pipeline: RecommendationPipeline, asked: Iterable[Columns]) -> dict[str, float]:
    """CPU milliseconds of retrieval and of all that follows, one request at a time."""
    from time import process_time

    from agora.candidates import Retrieved

    times, sizes = [], []
    for columns in asked:
        begun = process_time()
        found = pipeline.retrieve(columns)
        retrieved = process_time()
        carried = Retrieved(columns, found)
        matrix = pipeline.decode(carried)
        pipeline.decide(pipeline.infer(matrix), matrix, carried)
        times.append((retrieved - begun, process_time() - retrieved))
        sizes.append(len(found))
    retrieval, ranking = 1e3 * np.array(times).T
    return {
        "candidates": float(np.median(sizes)),
        "retrieval_p50_ms": float(np.median(retrieval)),
        "retrieval_p99_ms": float(np.quantile(retrieval, 0.99)),
        "ranking_p50_ms": float(np.median(ranking)),
        "ranking_p99_ms": float(np.quantile(ranking, 0.99)),
    }


def _visits(items: int, customers: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(5)
    return [
        {
            "request_id": ID, "customer_id": f"c{rng.integers(customers)}", "k": 10,
            "session": [{"product_id": f"i{rng.integers(items):07}", "kind": "click"}],
        }
        for _ in range(BODIES)
    ]  # fmt: skip


def _publish(settings: Settings, items: int, customers: int) -> None:
    store, rng = open_online(settings), np.random.default_rng(4)
    interests, shopping = SYSTEM.feature_sets
    for start in range(0, customers, 10_000):
        ids = [f"c{number}" for number in range(start, min(start + 10_000, customers))]
        at = np.full(len(ids), int(NOW.timestamp() * 1e6))
        store.write(interests, ids, at, at, history(items, len(ids), seed=start))
        habits = rng.exponential(5, (len(ids), len(shopping.features)))
        store.write(shopping, ids, at, at, habits)
    store.close()


def _alone(folder: Path, items: int) -> dict[str, float]:
    """`measured` in a process of its own, on one core."""
    command = [sys.executable, "-m", "benchmarks.performance.recommend", str(folder), str(items)]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        cwd=PROJECT,
        env={**os.environ, **threads},
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _row(name: str, value: float, items: int) -> dict[str, Any]:
    target = TARGETS.get(name)
    met = None if target is None else value >= target if name in AT_LEAST else value <= target
    return {
        "benchmark": "recommend", "system": SYSTEM.name, "metric": name, "value": value,
        "target": target, "reference": f"{items:,} products",
        "unit": UNITS.get(name.rpartition("_")[2], ""), "met": met,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(measured(Path(sys.argv[1]), int(sys.argv[2]))))
