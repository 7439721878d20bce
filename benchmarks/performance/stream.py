"""The stream: seconds from an event to its online features, and its rows held against the batch's.

`python -m benchmarks.performance stream`. The runner is a process of its own, on the embedded
Valkey; the producer is this one. The replay lies three days back: a tenth of its events comes up to
an hour late, one in fifty comes twice.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import polars as pl
import redis

from agora.settings import Settings, child_environment
from agora.stores import embedded
from agora.stores.events import open_events
from agora.stores.lake import Lake
from agora.stores.valkey import open_online
from agora.streams.models import FIRST, LAST, Model, load_models
from agora.streams.producer import events_of
from agora.streams.topics import PAYMENT_EVENTS
from agora.tables import PAYMENTS

RATE = 1_000
SECONDS = 60
TICK = 0.05
# Of each tick's events this many are watched for.
WATCHED = 5
REPLAYED = 1_000_000
REPLAY_DAYS = 3
DAY = 86_400_000_000
TARGET_SECONDS = 2.0

TAKE_ALL = """
import json, resource, sys, time
from agora.settings import settings
from agora.streams.running import run
began = time.perf_counter()
taken = run(settings(), once=True)
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"taken": taken, "seconds": time.perf_counter() - began,
                  "cpu": usage.ru_utime + usage.ru_stime, "mb": usage.ru_maxrss / 1024}))
"""


def run(seconds: int = SECONDS, replayed: int = REPLAYED) -> list[dict[str, Any]]:
    """Measure latency at a steady rate, then replay and compare."""
    results = []
    for measure, size in ((latency, seconds), (replay, replayed)):
        with TemporaryDirectory() as folder:
            settings = Settings(home=Path(folder))
            try:
                # dbt compiles once per change of the project, before anything is measured.
                load_models(settings, PAYMENT_EVENTS)
                results += measure(settings, size)
            finally:
                embedded.stop(settings.home / "online")
    return results


def latency(settings: Settings, seconds: int) -> list[dict[str, Any]]:
    """Seconds from an event's time to the moment at which all its sets show it."""
    log = settings.home / "stream.log"
    with log.open("wb") as out:
        runner = subprocess.Popen(
            [sys.executable, "-m", "agora.streams"], env=child_environment(settings), stdout=out,
            stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        watch = _Watch(settings)
        # The process starts and its first batches find cold code.
        _send(settings, watch, 5)
        watch.drained()
        watch.taken.clear()
        _send(settings, watch, seconds)
        took = watch.finished()
    finally:
        runner.terminate()
        runner.wait(60)
    if runner.returncode != 0:
        raise RuntimeError(f"the runner ended with {runner.returncode}: {log.read_text()[-2000:]}")
    held = Lake(settings.lake).read("stream/payments", ["payment_id"]).height
    reference = f"{RATE} events/s for {seconds} s, {len(took)} watched, {held} in the lake"
    p50, p99, worst = np.quantile(took, [0.5, 0.99, 1.0])
    return [
        _row("event_to_online_p50_seconds", float(p50), None, "s", reference),
        _row("event_to_online_p99_seconds", float(p99), TARGET_SECONDS, "s", reference),
        _row("event_to_online_worst_seconds", float(worst), None, "s", reference),
    ]


def replay(settings: Settings, count: int) -> list[dict[str, Any]]:
    """Take a backlog, then count the rows in which stream and batch differ."""
    _backlog(settings, count)
    done = subprocess.run([sys.executable, "-c", TAKE_ALL], env=child_environment(settings),
                          capture_output=True, text=True, check=True)  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    began = time.perf_counter()
    rows, different = _compared(settings, load_models(settings, PAYMENT_EVENTS))
    batch = time.perf_counter() - began
    reference = f"{found['taken']:,} events, {rows:,} feature rows; the batch took {batch:.0f} s"
    rate = found["taken"] / found["seconds"]
    return [
        _row("replay_rows_that_differ", different, 0, "rows", reference),
        _row("replay_events_per_second", rate, RATE, "1/s", f"{found['cpu']:.0f} CPU s", True),
        _row("replay_peak_mb", found["mb"], None, "MB", "state of 26 hours"),
    ]


class _Watch:
    """Looks at the online store for events that were sent, every few milliseconds."""

    def __init__(self, settings: Settings) -> None:
        self.taken: list[float] = []
        self._sets = [model.feature_set for model in load_models(settings, PAYMENT_EVENTS)]
        self._store = open_online(settings)
        self._waiting: list[dict[str, Any]] = []
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def add(self, frame: pl.DataFrame) -> None:
        """Watch for some events."""
        rows = frame.with_columns(at=pl.col("event_at").to_physical()).to_dicts()
        with self._lock:
            self._waiting.extend(rows)

    def drained(self) -> None:
        """Wait until everything that was sent has come."""
        deadline = time.monotonic() + 120
        while self._waiting and time.monotonic() < deadline:
            time.sleep(0.1)

    def finished(self) -> list[float]:
        """What was measured once everything has come."""
        self.drained()
        self._ended.set()
        self._thread.join()
        if self._waiting:
            raise RuntimeError(f"{len(self._waiting)} events never came")
        return self.taken

    def _look(self) -> None:
        while not self._ended.is_set():
            with self._lock:
                waiting = list(self._waiting)
            if waiting:
                asked = [(s, [row[s.entity.key] for row in waiting]) for s in self._sets]
                found = np.min([rows.feature_at for rows in self._store.read(asked)], axis=0)
                now = time.time()
                came = [at >= row["at"] for at, row in zip(found, waiting, strict=True)]
                with self._lock:
                    for row, has in zip(waiting, came, strict=True):
                        if has:
                            self.taken.append(now - row["at"] / 1e6)
                            self._waiting.remove(row)
            time.sleep(0.02)


def _send(settings: Settings, watch: _Watch, seconds: int) -> None:
    """A steady rate, whatever a tick took."""
    random = np.random.default_rng(int(time.time()))
    store, began, size = open_events(settings), time.monotonic(), int(RATE * TICK)
    for tick in range(int(seconds / TICK)):
        time.sleep(max(0.0, began + tick * TICK - time.monotonic()))
        at = np.full(size, time.time_ns() // 1000)
        frame = _payments(random, at, f"{time.time_ns()}")
        store.append("payments", events_of(frame))
        watch.add(frame.sample(WATCHED))
    store.close()


def _backlog(settings: Settings, count: int) -> None:
    """Events with the log's times of three days, as the server would have given them."""
    random = np.random.default_rng(5)
    now = time.time_ns() // 1000 // DAY * DAY
    arrived = np.sort(now - random.integers(0, REPLAY_DAYS * DAY, count))
    late = np.where(random.random(count) < 0.1, random.integers(0, DAY // 24, count), 0)
    frame = _payments(random, arrived - late, "replay").with_columns(sent=pl.Series(arrived))
    again = frame.sample(fraction=0.02, seed=5).with_columns(pl.col("sent") + 60_000_000)
    frame = pl.concat([frame, again]).sort("sent")
    client = redis.Redis.from_url(embedded.start(settings.home / "online"))
    for start in range(0, frame.height, 10_000):
        part = frame[start : start + 10_000]
        pipeline = client.pipeline(transaction=False)
        for number, (event, sent) in enumerate(
            zip(events_of(part), part["sent"] // 1000, strict=True)
        ):
            fields = {"k": event.key, "e": event.event_at, "p": event.payload}
            pipeline.xadd("agora:events:payments", fields, id=f"{sent}-{start + number}")
        pipeline.execute()
    client.close()


def _compared(settings: Settings, models: list[Model]) -> tuple[int, int]:
    """Rows of all sets, and how many are not in both or not equal to the last bit."""
    lake, rows, different = Lake(settings.lake), 0, 0
    with duckdb.connect(":memory:") as connection:
        connection.execute("set TimeZone='UTC'; set preserve_insertion_order=false")
        connection.execute(
            f"create table payments as select {', '.join(PAYMENTS.names)}, arrival_date "
            f"from ({lake.scan('stream/payments')})"
        )
        (first, last) = connection.execute(
            "select min(arrival_date), max(arrival_date) from payments"
        ).fetchall()[0]
        for model in models:
            name = model.feature_set.name
            if model.moments:
                connection.execute(f"create or replace view moments as from {model.moments}")
            for number in range((last - first).days + 1):
                day = first + timedelta(days=number)
                sql = model.sql.replace(f"date '{FIRST}'", f"date '{day}'").replace(
                    f"date '{LAST}'", f"date '{day + timedelta(days=1)}'"
                )
                how = "insert into" if number else "create table"
                connection.execute(f"{how} {name} {'' if number else 'as'} {sql}")
            streamed = f"select * from ({lake.scan(f'stream/{name}')})"
            columns = ", ".join([model.feature_set.entity.key, "feature_at", "arrived_at",
                                 *model.feature_set.names])  # fmt: skip
            ours, theirs = f"select {columns} from ({streamed})", f"select {columns} from {name}"
            rows += connection.execute(f"select count(*) from {name}").fetchall()[0][0]
            for a, b in ((ours, theirs), (theirs, ours)):
                sql = f"select count(*) from ({a} except all {b})"
                different += connection.execute(sql).fetchall()[0][0]
    return rows, different


def _payments(random: np.random.Generator, event_at: Any, name: str) -> pl.DataFrame:
    count = len(event_at)

    def ids(prefix: str, entities: int) -> pl.Series:
        numbers = pl.Series(random.integers(0, entities, count))
        return pl.select(pl.format(f"{prefix}-{{}}", pl.lit(numbers))).to_series()

    return pl.DataFrame(
        {
            "payment_id": [f"{name}-{number}" for number in range(count)],
            "customer_id": ids("customer", 80_000),
            "card_id": ids("card", 100_000),
            "merchant_id": ids("merchant", 2_000),
            "device_id": ids("device", 90_000),
            "amount": np.round(random.lognormal(3.5, 1.0, count), 2),
            "currency": ["EUR"] * count,
            "channel": random.choice(["web", "app", "in_store"], count),
            "latitude": random.uniform(-60, 70, count),
            "longitude": random.uniform(-180, 180, count),
            "event_at": pl.Series(event_at).cast(pl.Datetime("us", "UTC")),
        }
    )


def _row(
    metric: str, value: float, target: float | None, unit: str, reference: str, more: bool = False
) -> dict[str, Any]:
    met = None if target is None else bool(value >= target if more else value <= target)
    return {"benchmark": "stream", "system": "stream", "metric": metric, "value": value,
            "target": target, "reference": reference, "unit": unit, "met": met}  # fmt: skip
