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
from agora.streams import history, land, memory
from agora.streams.runner import Runner
from agora.tables import PAYMENTS
from agora.warehouse import build
from tests.streams.batch import built_by_day
from tests.streams.payments import events_of, random_payments, with_repeats

if TYPE_CHECKING:
    from pathlib import Path

    from agora.stores.online import OnlineStore
    from agora.streams.models import Model


class Log(MemoryEventStore):
    """A log whose clock is set by hand: what was sent at a time arrives at that time."""

    def __init__(self) -> None:
        self.now = 0
        super().__init__(clock=lambda: self.now)

    def send(self, frame: pl.DataFrame) -> None:
        """Append a frame by its `sent_at`."""
        for (at,), part in frame.group_by("sent_at", maintain_order=True):
            self.now = round(at.timestamp() * 1e6)
            self.append("payments", events_of(part))


def stream(
    settings: Settings,
    models: list[Model],
    log: Log,
    online: OnlineStore,
    random: np.random.Generator,
) -> int:
    """Take everything in batches of any size, begun anew now and then; returns the restarts."""
    restarts = 0
    while True:
        runner = Runner(settings, models, log, online)
        for _ in range(random.integers(1, 5)):
            batch = log.read("payments", runner.position, int(random.choice([1, 60, 200])))
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


def assert_equals_batch(lake: Lake, models: list[Model], payments: pl.DataFrame) -> None:
    built = built_by_day(models, payments.select(PAYMENTS.names))
    first = lake.read("stream/payments")["arrived_at"].min()
    for model in models:
        names = [model.feature_set.entity.key, "feature_at", "arrived_at"]
        streamed = lake.read(f"stream/{model.feature_set.name}").sort(names)
        expected = built[model.feature_set.name].filter(pl.col("arrived_at") >= first).sort(names)
        assert streamed.height > 80
        assert_frame_equal(
            streamed.select(expected.columns), expected, check_exact=True, check_dtypes=False
        )


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 4))])
def test_rows_of_the_stream_are_those_of_the_batch(
    seed: int, tmp_path: Path, models: list[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small chunks and frequent cuts: what happens in a day at scale happens here in a second.
    monkeypatch.setattr(history, "LARGEST", 64)
    monkeypatch.setattr(memory, "FORGET_EVERY", 100)
    settings, log = Settings(home=tmp_path), Log()
    sent = random_payments(seed, 250)
    log.send(with_repeats(sent, seed))
    online = MemoryOnlineStore()
    restarts = stream(settings, models, log, online, np.random.default_rng(seed))
    assert restarts >= 2
    lake = Lake(settings.lake)
    taken = lake.read("stream/payments")
    # Every version is there, and what was sent again is not.
    said = [name for name in sent.columns if name != "sent_at"]
    assert_frame_equal(
        taken.select(said).unique().sort(said), sent.select(said).unique().sort(said)
    )
    assert taken.height <= sent.height
    assert taken.sort("position")["arrived_at"].is_sorted()
    assert_equals_batch(lake, models, taken)
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
    lake.write("marts/payments", landed, partition_by="arrival_date")
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
def test_dbt_builds_the_rows_that_the_stream_wrote(tmp_path: Path, models: list[Model]) -> None:
    settings, log, lake = Settings(home=tmp_path), Log(), Lake(str(tmp_path / "lake"))
    log.send(random_payments(5, 200, days=2))
    stream(settings, models, log, MemoryOnlineStore(), np.random.default_rng(5))
    land(settings, "payments", PAYMENTS)
    days = landed_days(settings.landing, PAYMENTS)
    end = days[-1] + timedelta(days=1)
    ingest(lake, settings.landing, PAYMENTS, days[0], end)
    chosen = " ".join(f"ftr_{model.feature_set.name}" for model in models)
    build(settings, days[0], end, select=f"payments {chosen}")
    for model in models:
        streamed = lake.read(f"stream/{model.feature_set.name}")
        built = lake.read(model.feature_set.table)
        names = [model.feature_set.entity.key, "arrived_at"]
        assert_frame_equal(
            streamed.sort(names), built.select(streamed.columns).sort(names), check_exact=True
        )
