"""The stream's rows are the batch's rows: same entities, same moments, same values."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from agora.ingest import ingest, landed_days
from agora.settings import Settings
from agora.stores.events import MemoryEventStore
from agora.stores.lake import Lake
from agora.stores.online import MemoryOnlineStore
from agora.streams import history, memory
from agora.streams.landing import land
from agora.streams.models import load_models
from agora.streams.producer import events_of
from agora.streams.runner import Runner
from agora.streams.topics import INTERACTION_EVENTS, PAYMENT_EVENTS
from agora.tables import PAYMENTS
from agora.warehouse import build
from tests.streams.batch import built_by_day
from tests.streams.interactions import random_interactions
from tests.streams.payments import random_payments, with_repeats

if TYPE_CHECKING:
    from pathlib import Path

    from agora.stores.online import OnlineStore
    from agora.streams.models import Model
    from agora.streams.topics import Topic

# Its models are compiled once, by one worker.
pytestmark = pytest.mark.xdist_group("streams")


SENT = {"payments": random_payments, "interactions": random_interactions}


class Log(MemoryEventStore):
    """A log whose clock is set by hand: what was sent at a time arrives at that time."""

    def __init__(self) -> None:
        self.now = 0
        super().__init__(clock=lambda: self.now)

    def send(self, frame: pl.DataFrame, topic: Topic = PAYMENT_EVENTS) -> None:
        """Append a frame by its `sent_at`."""
        for (at,), part in frame.group_by("sent_at", maintain_order=True):
            self.now = round(at.timestamp() * 1e6)
            self.append(topic.name, events_of(part, topic))


def stream(
    settings: Settings,
    models: list[Model],
    log: Log,
    online: OnlineStore,
    random: np.random.Generator,
    topic: Topic = PAYMENT_EVENTS,
) -> int:
    """Take everything in batches of any size, begun anew now and then; returns the restarts."""
    restarts = 0
    while True:
        runner = Runner(settings, topic, models, log, online)
        for _ in range(random.integers(1, 5)):
            batch = log.read(topic.name, runner.position, int(random.choice([1, 60, 200])))
            if not batch:
                runner.flush()
                runner.close()
                return restarts
            runner.take(batch)
            if random.random() < 0.4:
                runner.flush()
        # What was not flushed is taken again by the next.
        runner.close()
        restarts += 1


def assert_equals_batch(
    lake: Lake, models: list[Model], events: pl.DataFrame, topic: Topic = PAYMENT_EVENTS
) -> None:
    built = built_by_day(models, events.select(topic.table.names))
    first = lake.read(f"stream/{topic.name}")["arrived_at"].min()
    for model in models:
        names = [model.feature_set.entity.key, "feature_at", "arrived_at"]
        streamed = lake.read(f"stream/{model.feature_set.name}").sort(names)
        expected = built[model.feature_set.name].filter(pl.col("arrived_at") >= first).sort(names)
        assert streamed.height > 80
        assert_frame_equal(
            streamed.select(expected.columns), expected, check_exact=True, check_dtypes=False
        )


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 6))])
@pytest.mark.parametrize(
    "topic", [PAYMENT_EVENTS, INTERACTION_EVENTS], ids=lambda topic: topic.name
)
def test_rows_of_the_stream_are_those_of_the_batch(
    topic: Topic, seed: int, tmp_path: Path, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = load_models(Settings(home=compiled), topic)
    # Small chunks and frequent cuts: what happens in a day at scale happens here in a second.
    monkeypatch.setattr(history, "LARGEST", 64)
    monkeypatch.setattr(memory, "FORGET_EVERY", 100)
    settings, log = Settings(home=tmp_path), Log()
    sent = SENT[topic.name](seed, 250)
    log.send(with_repeats(sent, seed), topic)
    online = MemoryOnlineStore()
    restarts = stream(settings, models, log, online, np.random.default_rng(seed), topic)
    assert restarts >= 2
    lake = Lake(settings.lake)
    taken = lake.read(f"stream/{topic.name}")
    # Every version is there, and what was sent again is not.
    said = [name for name in sent.columns if name != "sent_at"]
    assert_frame_equal(
        taken.select(said).unique().sort(said), sent.select(said).unique().sort(said)
    )
    assert taken.height <= sent.height
    assert taken.sort("position")["arrived_at"].is_sorted()
    assert_equals_batch(lake, models, taken, topic)
    assert_online_is_newest(lake, models, online)


def test_the_stream_goes_on_where_landed_days_end(tmp_path: Path, models: list[Model]) -> None:
    settings, log, lake = Settings(home=tmp_path), Log(), Lake(str(tmp_path / "lake"))
    sent = random_payments(3, 300, days=6)
    before, after = sent[:200], sent[200:]
    after = after.filter(pl.col("sent_at") > before["sent_at"].max())
    landed = (
        before.rename({"sent_at": "arrived_at"})
        .unique(["payment_id", "arrived_at"], maintain_order=True)
        .with_columns(pl.lit(None, pl.String).alias(n) for n in ("order_id", "country"))
        .with_columns(pl.col("arrived_at").dt.date().alias("arrival_date"))
        .select(*PAYMENTS.names, "arrival_date")
    )
    # The day of the last build was not over; what came since has only been ingested.
    built = landed[:120]
    assert built["arrival_date"].max() < landed["arrival_date"].max()  # type: ignore[operator]
    lake.write("marts/payments", built, partition_by="arrival_date")
    lake.write("raw/payments", landed, partition_by="arrival_date")
    log.send(after)
    stream(settings, models, log, MemoryOnlineStore(), np.random.default_rng(3))
    every = pl.concat(
        [landed, lake.read("stream/payments").select(landed.columns)], how="vertical_relaxed"
    )
    assert_equals_batch(lake, models, every)


def assert_online_is_newest(lake: Lake, models: list[Model], online: OnlineStore) -> None:
    for model in models:
        key = model.feature_set.entity.key
        rows = lake.read(f"stream/{model.feature_set.name}").sort("feature_at", "arrived_at")
        newest = rows.unique(key, keep="last")
        held = online.read([(model.feature_set, newest[key].to_list())])[0]
        assert held.feature_at.tolist() == newest["feature_at"].to_physical().to_list()
        assert held.arrived_at.tolist() == newest["arrived_at"].to_physical().to_list()
        values = newest.select(pl.col(model.feature_set.names).fill_null(float("nan"))).to_numpy()
        np.testing.assert_array_equal(held.values, values)


@pytest.mark.slow
@pytest.mark.parametrize(
    "topic", [PAYMENT_EVENTS, INTERACTION_EVENTS], ids=lambda topic: topic.name
)
def test_dbt_builds_the_rows_that_the_stream_wrote(
    topic: Topic, tmp_path: Path, compiled: Path
) -> None:
    settings, log, lake = Settings(home=tmp_path), Log(), Lake(str(tmp_path / "lake"))
    models = load_models(Settings(home=compiled), topic)
    log.send(SENT[topic.name](5, 200, days=2), topic)
    stream(settings, models, log, MemoryOnlineStore(), np.random.default_rng(5), topic)
    land(settings, topic.name, topic.table)
    days = landed_days(settings.landing, topic.table)
    end = days[-1] + timedelta(days=1)
    ingest(lake, settings.landing, topic.table, days[0], end)
    chosen = " ".join(f"ftr_{model.feature_set.name}" for model in models)
    build(settings, days[0], end, select=f"{topic.name} {chosen}")
    for model in models:
        streamed = lake.read(f"stream/{model.feature_set.name}")
        built = lake.read(model.feature_set.table)
        names = [model.feature_set.entity.key, "arrived_at"]
        assert_frame_equal(
            streamed.sort(names), built.select(streamed.columns).sort(names), check_exact=True
        )


def test_an_event_older_than_all_that_is_held_moves_no_frontier_back(
    tmp_path: Path, interests: list[Model]
) -> None:
    settings, log, lake = Settings(home=tmp_path), Log(), Lake(str(tmp_path / "lake"))
    sent = random_interactions(8, 120, days=2, customers=60).drop_nulls("customer_id")
    # Months ago each customer did something once; now an event of the time before comes in.
    sent = sent.unique("interaction_id").sort("sent_at").with_columns(
        pl.col("sent_at") + timedelta(days=100),
        pl.when(pl.int_range(pl.len()) < 60).then(pl.col("event_at")).otherwise(
            pl.col("event_at") - timedelta(days=5)).alias("event_at"),
    )  # fmt: skip
    landed = sent[:60].with_columns(arrived_at=pl.col("event_at") + timedelta(seconds=1))
    landed = landed.with_columns(arrival_date=pl.col("arrived_at").dt.date())
    landed = landed.select(*INTERACTION_EVENTS.table.names, "arrival_date")
    lake.write("marts/interactions", landed, partition_by="arrival_date")
    log.send(sent[60:], INTERACTION_EVENTS)
    random = np.random.default_rng(8)
    stream(settings, interests, log, MemoryOnlineStore(), random, INTERACTION_EVENTS)
    taken = lake.read("stream/interactions").select(landed.columns)
    every = pl.concat([landed, taken], how="vertical_relaxed")
    rows = lake.read("stream/customers__interests")
    moved = rows.filter(pl.col("feature_at").is_in(landed["event_at"].implode()))
    assert moved.height > 10
    built = built_by_day(interests, every)["customers__interests"]
    names = ["customer_id", "feature_at", "arrived_at"]
    expected = built.join(rows, on=["customer_id", "arrived_at"], how="semi").sort(names)
    assert_frame_equal(
        rows.select(expected.columns).sort(names), expected, check_exact=True, check_dtypes=False
    )
