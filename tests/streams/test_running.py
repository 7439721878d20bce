"""Topics run beside each other, and one that cannot go on ends all, flushed."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest

from agora.entities.customers import CUSTOMERS_INTERESTS
from agora.pipeline import MISSING_TIME
from agora.settings import Settings
from agora.stores import embedded
from agora.stores.lake import Lake
from agora.stores.valkey import open_online
from agora.streams import runner
from agora.streams.producer import produce
from agora.streams.running import run
from agora.streams.sink import OvertakenError, Sink
from agora.streams.tables import taken_schema
from agora.streams.topics import INTERACTION_EVENTS
from tests.streams.interactions import random_interactions
from tests.streams.payments import random_payments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Its models are compiled once, by one worker.
pytestmark = pytest.mark.xdist_group("streams")


@pytest.fixture
def settings(tmp_path: Path, compiled: Path) -> Iterator[Settings]:
    shutil.copytree(compiled / "streams", tmp_path / "streams")
    yield Settings(home=tmp_path)
    embedded.stop(tmp_path / "online")


def _now(frame: pl.DataFrame) -> pl.DataFrame:
    age = pl.lit(datetime.now(UTC)) - pl.col("event_at").max()
    return frame.with_columns(pl.col("event_at") + age).drop("sent_at")


def _overtake(lake: Lake) -> None:
    """Commit as another runner of the topic would, which is quicker."""
    while True:
        other = Sink(
            lake, "stream/interactions", taken_schema(INTERACTION_EVENTS), "arrival_date",
            "interactions",
        )  # fmt: skip
        # The runner may have committed in between.
        with contextlib.suppress(OvertakenError):
            other.append(pl.DataFrame(other.schema.empty_table()), 2**62, 1)
            return


def test_one_that_is_overtaken_ends_the_others_after_their_flush(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(settings, once=True) == 0
    # Its events may be committed before it is overtaken: then the next beat tells it.
    monkeypatch.setattr(runner, "BEAT_SECONDS", 0.5)
    monkeypatch.setattr(runner, "FLUSH_SECONDS", 1.0)
    lake = Lake(settings.lake)
    payments = _now(random_payments(1, 20))
    produce(settings, payments)
    clicks = _now(random_interactions(1, 20))
    produce(settings, clicks, topic=INTERACTION_EVENTS)
    customers = clicks["customer_id"].drop_nulls().unique().to_list()
    errors: list[BaseException] = []
    stop = threading.Event()

    def follow() -> None:
        try:
            run(settings, once=False, stop=stop)
        except OvertakenError as error:
            errors.append(error)

    following = threading.Thread(target=follow)
    following.start()
    online = open_online(settings)
    try:
        while online.read([(CUSTOMERS_INTERESTS, customers)])[0].feature_at.max() == MISSING_TIME:
            assert following.is_alive()
            time.sleep(0.05)
        _overtake(lake)
        following.join(120)
        assert not following.is_alive()
    finally:
        # One that was not told would run beside the tests that follow.
        stop.set()
        following.join()
        online.close()
    assert "interactions" in str(errors[0])
    assert lake.read("stream/payments").height == payments.unique().height


def test_a_stream_without_events_says_that_it_runs(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(settings, once=True)
    table = Lake(settings.lake).table("stream/interactions")
    before = table.version()
    run(settings, once=True)
    table.update_incremental()
    assert table.version() == before
    monkeypatch.setattr(runner, "BEAT_SECONDS", 0.0)
    run(settings, once=True)
    table.update_incremental()
    assert table.version() == before + 1
