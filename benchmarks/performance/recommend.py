"""POST /recommend among a million products: index, retrieval, ranking, and the service's answers.

`python -m benchmarks.performance.recommend FOLDER ITEMS` builds and measures in a process of its
own, on one core; CPU time is measured, as other processes only slow the wall's. The models are
fitted on a small shop; the catalogue's titles, categories, sellers and prices are of unequal size,
as catalogues are. The service then answers eight clients on that core, each request with another
customer's history.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.deployment.process import running
from agora.items import item_keys
from agora.settings import Settings
from agora.stores import deployments
from agora.stores.deployments import Deployment, Pointer
from agora.stores.keys import KeyStore
from agora.stores.valkey import open_online, stop_online
from agora.systems.recommendation import SYSTEM
from agora.systems.recommendation.pipeline import RecommendationPipeline
from benchmarks.performance.http_load import ID
from benchmarks.performance.score import PROJECT, RATE, _free_port, _pin, _wait, measure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora.pipeline import Columns

ITEMS, CUSTOMERS, REQUESTS, BODIES = 1_000_000, 100_000, 300, 500
NOW = datetime(2026, 5, 4, tzinfo=UTC)
TARGETS = {
    "retrieval_p99_ms": 10.0,
    "retrieval_recall": 0.95,
    "ranking_p99_ms": 50.0,
    "index_build_seconds": 300.0,
    "index_peak_mb": 4_096.0,
    "recommend_p99_ms": 60.0,
}
UNITS = {"ms": "ms", "seconds": "s", "mb": "MB"}


def run(items: int = ITEMS, customers: int = CUSTOMERS) -> list[dict[str, Any]]:
    """Build, measure in process, then through HTTP."""
    import psutil

    with tempfile.TemporaryDirectory(prefix="agora-recommend-") as scratch, ExitStack() as stack:
        settings = Settings(home=Path(scratch))
        stack.callback(stop_online, settings)
        folder = settings.home / "model"
        found = _alone(folder, items)
        _deploy(settings, folder)
        _publish(settings, items, customers)
        port, log = _free_port(), settings.home / "service.log"
        target = "bentos.recommendation.service:Recommendation"
        child = stack.enter_context(running(target, PROJECT, settings, port, log))
        _wait(port, log)
        (worker,) = psutil.Process(child.pid).children()
        _pin(worker)
        token = KeyStore(settings.keys).create("benchmark", "score", rate=RATE)
        bodies = "\n".join(map(json.dumps, _visits(items, customers)))
        measure((port, worker), token, bodies, 400, SYSTEM.path)
        loaded = measure((port, worker), token, bodies, 2_000, SYSTEM.path)
        found |= {
            "recommend_p50_ms": float(np.quantile(loaded["latencies"], 0.5)),
            "recommend_p99_ms": float(np.quantile(loaded["latencies"], 0.99)),
            "recommend_cpu_ms": loaded["cpu_us"] / 1e3,
            "service_mb": worker.memory_info().rss / 2**20,
        }
    return [_row(name, value, items) for name, value in found.items()]


def measured(folder: Path, items: int) -> dict[str, float]:
    """Fit, build the index, and time what one request costs; see `TARGETS`."""
    import resource
    from time import process_time

    from agora.candidates import Retrieved
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
    times, sizes = [], []
    for columns in _requests(items):
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
        "index_build_seconds": build,
        "index_peak_mb": peak,
        "candidates": float(np.median(sizes)),
        "retrieval_p50_ms": float(np.median(retrieval)),
        "retrieval_p99_ms": float(np.quantile(retrieval, 0.99)),
        "retrieval_recall": min(each.recall for each in pipeline.index_.vectors.values()),
        "ranking_p50_ms": float(np.median(ranking)),
        "ranking_p99_ms": float(np.quantile(ranking, 0.99)),
    }


def replaced(params: Any) -> Any:
    """The small shop's parameters with vectors as wide as in production."""
    from dataclasses import replace

    from agora.systems.recommendation.pipeline import Params

    usual = Params()
    towers = replace(usual.towers, epochs=2)
    return replace(params, towers=towers, text=usual.text, rank=usual.rank, ranker=usual.ranker)


def known(fitted: RecommendationPipeline, listed: pl.DataFrame) -> None:
    """Let the collaborative model know all products: clusters, as a factorisation makes them."""
    from dataclasses import replace

    from agora.ranking.collaborative import FactoredEase

    rng, rank = np.random.default_rng(8), fitted.params.rank
    keys = np.sort(item_keys(listed["product_id"]))
    centres = rng.normal(size=(5_000, rank)) / np.sqrt(1 + np.arange(rank))
    vectors = (
        centres[rng.integers(0, len(centres), len(keys))]
        + 0.3 * rng.normal(size=(len(keys), rank)) / np.sqrt(1 + np.arange(rank))
    ).astype(np.float32)
    ease = FactoredEase(rank, inputs_=vectors, items_=vectors)
    fitted.tastes_ = replace(fitted.tastes_, ease=ease, keys=keys)


def catalogue(items: int, seed: int = 0) -> pl.DataFrame:
    """Products whose words, categories and sellers are as unequal as they are in shops."""
    rng = np.random.default_rng(seed)
    words = np.array([f"{a}{b}" for a in SYLLABLES for b in SYLLABLES], dtype=object)
    often = 1 / (1 + np.arange(len(words))) ** 0.9
    category = np.minimum(rng.zipf(1.3, items), 200)
    # What a category's titles say is a stretch of the vocabulary, and some words of all.
    own = words[(category[:, None] * 37 + rng.integers(0, 12, (items, 2))) % len(words)]
    others = words[rng.choice(len(words), (items, 3), p=often / often.sum())]
    columns = pl.DataFrame(
        {
            "product_id": [f"i{number:07}" for number in range(items)],
            "title": [" ".join(each) for each in np.concatenate([own, others], axis=1).tolist()],
            "description": [""] * items,
            "category": pl.Series(category).cast(pl.String),
            "merchant_id": pl.Series(np.minimum(rng.zipf(1.2, items), 50_000)).cast(pl.String),
            "price": rng.lognormal(3, 1, items),
            "currency": ["EUR"] * items,
            "stock": rng.integers(0, 30, items),
            "listed_at": pl.Series(
                [NOW - timedelta(days=500)] * items, dtype=pl.Datetime("us", "UTC")
            )
            + pl.Series(rng.integers(0, 500, items)).cast(pl.Duration("us")) * 86_400_000_000,
        }
    )
    features = {
        name: rng.exponential(1.0, items) * (rng.random(items) < 0.3)
        for each in SYSTEM.items.feature_sets  # type: ignore[union-attr]
        for name in each.columns
    }
    return pl.concat([columns, pl.DataFrame(features)], how="horizontal")


SYLLABLES = tuple(a + b for a in "bdfgklmnprstvz" for b in "aeiou")


def _history(items: int, rows: int, seed: int) -> np.ndarray[Any, Any]:
    """Keys, kinds and times of each customer's latest interactions, as the store holds them."""
    rng = np.random.default_rng(seed)
    taken = rng.integers(0, items, (rows, 24))
    ids = pl.Series([f"i{number:07}" for number in taken.ravel()])
    at = NOW.timestamp() - np.cumsum(rng.exponential(20_000, (rows, 24)), axis=1)
    kinds = rng.choice(3, (rows, 24), p=(0.8, 0.15, 0.05))
    return np.stack([item_keys(ids).reshape(rows, 24), kinds, at], axis=2).reshape(rows, 72)


def _requests(items: int) -> Iterator[Columns]:
    """Requests one by one, as columns."""
    from tests.systems.recommendation.shop import asked

    columns = dict(asked(event_at=NOW, k=10.0))
    names = SYSTEM.feature_sets[0].columns
    for row in _history(items, REQUESTS, seed=3):
        yield columns | {name: row[at : at + 1] for at, name in enumerate(names)}


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
        store.write(interests, ids, at, at, _history(items, len(ids), seed=start))
        habits = rng.exponential(5, (len(ids), len(shopping.features)))
        store.write(shopping, ids, at, at, habits)
    store.close()


def _deploy(settings: Settings, folder: Path) -> None:
    deployment = Deployment(
        system=SYSTEM.name, version="1", bento="recommendation:benchmark", model=str(folder),
        golden=(), deployed_at=datetime.now(UTC),
    )  # fmt: skip
    deployments.write(settings.deployments, Pointer(current=deployment))


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
    at_least = name == "retrieval_recall"
    met = None if target is None else value >= target if at_least else value <= target
    return {
        "benchmark": "recommend", "system": SYSTEM.name, "metric": name, "value": value,
        "target": target, "reference": f"{items:,} products",
        "unit": UNITS.get(name.rpartition("_")[2], ""), "met": met,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(measured(Path(sys.argv[1]), int(sys.argv[2]))))
