"""POST /search among a million products: index, one request in process, and the service's answers.

`python -m benchmarks.performance.search FOLDER ITEMS` builds and measures in a process of its own,
on one core; CPU time is measured, as other processes only slow the wall's. The models are fitted on
made-up rows. Titles have real words for kinds and styles, and made-up brands whose frequency falls
as in catalogues; vectors are those of kind and style by the packaged encoder with noise around
them, as to encode a million texts takes half an hour and is done as they come. The service then
answers eight clients on that core, each with queries that were not typed before.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.settings import Settings
from agora.simulator import vocabulary
from agora.stores.valkey import stop_online
from agora.systems.search import SYSTEM
from agora.systems.search.index import Index, frame_of
from benchmarks.performance.http_load import ID
from benchmarks.performance.score import PROJECT
from benchmarks.performance.search_service import served

if TYPE_CHECKING:
    from agora.pipeline import Columns
    from agora.systems.search.pipeline import SearchPipeline

ITEMS, REQUESTS, BODIES, BRANDS = 1_000_000, 300, 3_000, 20_000
NOW = datetime(2026, 5, 4, tzinfo=UTC)
TARGETS = {
    "retrieval_p99_ms": 10.0,
    "ranking_p99_ms": 50.0,
    "index_build_seconds": 300.0,
    "index_peak_mb": 4_096.0,
    "search_p99_ms": 60.0,
    "degraded_answers": 0.0,
}
UNITS = {"ms": "ms", "seconds": "s", "mb": "MB"}
SYLLABLES = tuple(a + b for a in "bdfgklmnprstvz" for b in "aeiou")
NOISE = 0.03


def run(items: int = ITEMS) -> list[dict[str, Any]]:
    """Build, measure in process, then through HTTP."""
    with tempfile.TemporaryDirectory(prefix="agora-search-") as scratch, ExitStack() as stack:
        settings = Settings(home=Path(scratch))
        stack.callback(stop_online, settings)
        folder = settings.home / "model"
        found = _alone(folder, items)
        found |= served(settings, folder, [json.dumps(body) for body in _searches()])
    return [_row(name, value, items) for name, value in found.items()]


def measured(folder: Path, items: int) -> dict[str, float]:
    """Fit, build the index, and time what one request costs; see `TARGETS`."""
    import resource
    from time import process_time

    from agora.candidates import Retrieved
    from tests.systems.search.shop import fitted

    pipeline, listed = fitted(), catalogue(items)
    matrix = _vectors(pipeline, listed)
    started = process_time()
    name = pipeline._meaning.name
    params, present = pipeline.params, np.ones(items, bool)
    index = Index.of(frame_of(listed), matrix, present, params.weights, name, params.semantic)
    build = process_time() - started
    pipeline._use(index)
    pipeline.version = "1"
    pipeline.save(folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    times, sizes = [], []
    for columns in _requests():
        begun = process_time()
        pipeline._understanding.of(columns["query"][0])
        understood = process_time()
        found = pipeline.retrieve(columns)
        retrieved = process_time()
        carried = Retrieved(columns, found)
        matrix = pipeline.decode(carried)
        decoded = process_time()
        inferred = pipeline.infer(matrix)
        done = process_time()
        pipeline.decide(inferred, matrix, carried)
        times.append(
            (understood - begun, retrieved - understood, decoded - retrieved, done - decoded,
             process_time() - done)
        )  # fmt: skip
        sizes.append(len(found))
    reading, retrieval, decoding, scoring, listing = 1e3 * np.array(times).T
    ranking = decoding + scoring + listing
    return {
        "index_build_seconds": build,
        "index_peak_mb": peak,
        "candidates": float(np.median(sizes)),
        "reading_p50_ms": float(np.median(reading)),
        "retrieval_p50_ms": float(np.median(retrieval)),
        "retrieval_p99_ms": float(np.quantile(retrieval, 0.99)),
        "recall": pipeline.index_.vectors.recall,
        "decoding_p50_ms": float(np.median(decoding)),
        "scoring_p50_ms": float(np.median(scoring)),
        "listing_p50_ms": float(np.median(listing)),
        "ranking_p99_ms": float(np.quantile(ranking, 0.99)),
    }


def catalogue(items: int, seed: int = 0) -> pl.DataFrame:
    """Products of real kinds and styles and of made-up brands."""
    rng = np.random.default_rng(seed)
    often = 1 / (1 + np.arange(BRANDS)) ** 0.9
    drawn = {
        "brand": np.array(brands())[rng.choice(BRANDS, items, p=often / often.sum())],
        "style": rng.choice(vocabulary.STYLE_WORDS.texts, items),
        "noun": rng.choice(vocabulary.NOUN_WORDS.texts, items),
        "detail": rng.choice(vocabulary.split(vocabulary.DETAILS), items),
        "variant": rng.choice(vocabulary.split(vocabulary.VARIANTS), items),
        "purpose": rng.choice(vocabulary.split(vocabulary.PURPOSES), items),
    }
    frame = pl.DataFrame(drawn).select(
        title=pl.format("{} {} {}, {}, {}", "brand", "style", "noun", "detail", "variant"),
        description=pl.format("Made for {}: {}.", "purpose", "detail"),
    )
    columns = frame.with_columns(
        product_id=pl.format("i{}", pl.int_range(items).cast(pl.String).str.zfill(7)),
        category=pl.Series(np.minimum(rng.zipf(1.3, items), 200)).cast(pl.String),
        merchant_id=pl.Series(np.minimum(rng.zipf(1.2, items), 50_000)).cast(pl.String),
        price=pl.Series(rng.lognormal(3, 1, items)),
        currency=pl.lit("EUR"),
        stock=pl.Series(rng.integers(0, 30, items)),
        listed_at=pl.lit(NOW).cast(pl.Datetime("us", "UTC")),
    )
    features = {
        name: rng.exponential(1.0, items) * (rng.random(items) < 0.3)
        for each in SYSTEM.items.feature_sets  # type: ignore[union-attr]
        for name in each.columns
    }
    return columns.with_columns(**features)


def brands() -> list[str]:
    """Made-up names, the frequent first."""
    rng = np.random.default_rng(1)
    return ["".join(each) for each in rng.choice(SYLLABLES, (BRANDS, 4)).tolist()]


def _vectors(pipeline: SearchPipeline, listed: pl.DataFrame) -> Any:
    """What a title's style and kind mean, with noise around it."""
    head = listed["title"].str.split(",").list.first()
    said = head.str.replace(r"^\S+ ", "")
    known = said.unique().sort()
    encoded, _ = pipeline._meaning.texts(known.to_list())
    rng = np.random.default_rng(2)
    place = said.rank("dense").to_numpy().astype(np.int64) - 1
    matrix = np.empty((len(listed), encoded.shape[1]), np.float32)
    for start in range(0, len(listed), 100_000):
        rows = place[start : start + 100_000]
        noise = rng.standard_normal((len(rows), encoded.shape[1]), np.float32)
        part = encoded[rows] + NOISE * noise
        matrix[start : start + len(rows)] = part / np.linalg.norm(part, axis=1, keepdims=True)
    return matrix


def _queries(count: int, seed: int) -> list[str]:
    """One to three words: a kind, with a brand or a style or both; one in twelve mistyped."""
    rng = np.random.default_rng(seed)
    nouns = rng.choice(vocabulary.NOUN_WORDS.texts, count).tolist()
    styles = rng.choice(vocabulary.STYLE_WORDS.texts, count).tolist()
    names, drawn = brands(), rng.random((2, count))
    found = []
    for at, (noun, style) in enumerate(zip(nouns, styles, strict=True)):
        word = noun[:2] + noun[3:] if at % 12 == 0 and len(noun) > 4 else noun
        brand = names[int(BRANDS * drawn[0, at] ** 3)]
        kind = int(drawn[1, at] * 3)
        found.append((f"{style} {word}", f"{brand} {word}", f"{brand} {style} {word}")[kind])
    return found


def _requests() -> list[Columns]:
    """Requests one by one, as columns."""
    from tests.systems.search.shop import asked

    usual = dict(asked(query="lamp", event_at=NOW, k=10.0))
    return [usual | {"query": np.array([query], object)} for query in _queries(REQUESTS, seed=3)]


def _searches() -> list[dict[str, Any]]:
    return [{"request_id": ID, "query": query, "k": 10} for query in _queries(BODIES, seed=5)]


def _alone(folder: Path, items: int) -> dict[str, float]:
    """`measured` in a process of its own, on one core."""
    command = [sys.executable, "-m", "benchmarks.performance.search", str(folder), str(items)]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=PROJECT,
        env={**os.environ, **threads},
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _row(name: str, value: float, items: int) -> dict[str, Any]:
    target = TARGETS.get(name)
    return {
        "benchmark": "search", "system": SYSTEM.name, "metric": name, "value": value,
        "target": target, "reference": f"{items:,} products",
        "unit": UNITS.get(name.rpartition("_")[2], ""),
        "met": None if target is None else value <= target,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(measured(Path(sys.argv[1]), int(sys.argv[2]))))
