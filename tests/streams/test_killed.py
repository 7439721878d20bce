"""A stream that is killed anywhere loses nothing, counts nothing twice, and goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from agora.ingest import ingest, landed_days
from agora.settings import Settings, child_environment
from agora.stores import embedded
from agora.stores.lake import Lake
from agora.stores.valkey import open_online
from agora.streams.producer import produce
from agora.streams.running import run
from agora.streams.topics import INTERACTION_EVENTS, PAYMENT_EVENTS
from tests.streams.interactions import random_interactions
from tests.streams.payments import random_payments
from tests.streams.test_stream_equals_batch import assert_equals_batch, assert_online_is_newest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agora.streams.models import Model
    from agora.streams.topics import Topic

# Its models are compiled once, by one worker.
pytestmark = pytest.mark.xdist_group("streams")


@pytest.fixture
def settings(tmp_path: Path, compiled: Path) -> Iterator[Settings]:
    shutil.copytree(compiled / "streams", tmp_path / "streams")
    made = Settings(home=tmp_path)
    yield made
    embedded.stop(tmp_path / "online")


def _started(settings: Settings) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "agora.streams"],
        env=child_environment(settings),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def _now(frame: pl.DataFrame) -> pl.DataFrame:
    """The same payments, the last of them made just now."""
    age = datetime.now(UTC) - timedelta(seconds=2) - frame["event_at"].max()  # type: ignore[operator]
    return frame.with_columns(pl.col("event_at") + age).drop("sent_at")


@pytest.mark.parametrize("kills", [2, pytest.param(12, marks=pytest.mark.slow)])
def test_killed_anywhere_the_stream_loses_and_doubles_nothing(
    kills: int, settings: Settings, models: list[Model], interests: list[Model]
) -> None:
    random = np.random.default_rng(kills)
    sent = random_payments(kills, 150 * kills, days=0.9, entities=40)
    parts = np.array_split(np.arange(sent.height), kills + 1)
    frame = _now(sent)
    clicks = _now(random_interactions(kills, sent.height, days=0.9, customers=40))
    produce(settings, frame[parts[0].tolist()])
    for part in parts[1:]:
        process = _started(settings)
        deadline = time.monotonic() + random.uniform(1.5, 6)
        for start in range(0, len(part), 40):
            for topic, rows in ((PAYMENT_EVENTS, frame), (INTERACTION_EVENTS, clicks)):
                chosen = part[start : start + 40]
                produce(settings, rows[chosen.tolist()], topic=topic)
            time.sleep(0.05)
        time.sleep(max(0.0, deadline - time.monotonic()))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    produce(settings, frame.head(20))
    # Those of the first part have not been sent yet.
    produce(settings, clicks, topic=INTERACTION_EVENTS)
    run(settings, once=True)
    _assert_whole(settings, models, frame)
    _assert_whole(settings, interests, clicks, INTERACTION_EVENTS)


@pytest.mark.slow
def test_a_killed_valkey_stops_nothing_for_good(settings: Settings, models: list[Model]) -> None:
    frame = _now(random_payments(9, 120, days=0.5, entities=20))
    stop = threading.Event()
    runner = threading.Thread(target=run, args=(settings,), kwargs={"stop": stop})
    produce(settings, frame[:60])
    runner.start()
    try:
        time.sleep(1.5)
        pid = int((settings.home / "online" / "pid").read_text())
        os.kill(pid, signal.SIGKILL)
        # A producer tries again until the store is back.
        _retried(settings, frame[60:])
        time.sleep(3)
    finally:
        stop.set()
        runner.join()
    run(settings, once=True)
    _assert_whole(settings, models, frame)


def _retried(settings: Settings, frame: pl.DataFrame) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            produce(settings, frame)
            return
        except ConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def _assert_whole(
    settings: Settings, models: list[Model], sent: pl.DataFrame, topic: Topic = PAYMENT_EVENTS
) -> None:
    lake, table = Lake(settings.lake), topic.table
    taken = lake.read(f"stream/{topic.name}")
    said = sent.columns
    assert taken.select(said).sort(said).equals(sent.unique().sort(said))
    assert_equals_batch(lake, models, taken, topic)
    online = open_online(settings)
    assert_online_is_newest(lake, models, online)
    online.close()
    # What landed is what was taken, each version once: the batch reads the same payments.
    days = landed_days(settings.landing, table)
    report = ingest(lake, settings.landing, table, days[0], days[-1] + timedelta(days=1))
    assert (report.duplicates, report.rows_rejected) == (0, 0)
    names = list(table.names)
    assert lake.read(f"raw/{table.name}", names).sort(names).equals(taken.select(names).sort(names))
