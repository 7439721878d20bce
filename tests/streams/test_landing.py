"""What was streamed lands for the batch, once, and reads of the past see the stream's rows."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from agora.entities.cards import CARD, CARDS_RECENT
from agora.ingest import ingest
from agora.online_features import publish
from agora.point_in_time import point_in_time
from agora.settings import Settings
from agora.stores import embedded
from agora.stores.events import Event, open_events
from agora.stores.lake import Lake, Window
from agora.stores.online import MemoryOnlineStore
from agora.streams.landing import land
from agora.tables import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TODAY = datetime.now(UTC).date()


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    yield Settings(home=tmp_path)
    embedded.stop(tmp_path / "online")


def _verdict(number: int) -> Event:
    said = {"verdict_id": f"v{number}", "payment_id": f"p{number}", "analyst_id": "a",
            "is_fraud": number % 2 == 0}  # fmt: skip
    return Event(f"v{number}", json.dumps(said).encode(), time.time_ns() // 1000)


def _raw(settings: Settings) -> pl.DataFrame:
    lake = Lake(settings.lake)
    ingest(lake, settings.landing, VERDICTS, TODAY - timedelta(days=1), TODAY + timedelta(days=2))
    return lake.read("raw/verdicts").sort("verdict_id")


def test_outcomes_land_once_whatever_is_killed_or_cleared_away(settings: Settings) -> None:
    store = open_events(settings)
    assert land(settings, "outcomes", VERDICTS) == 0
    store.append("outcomes", [_verdict(1), _verdict(2), Event("x", b"no json", 1)])
    assert land(settings, "outcomes", VERDICTS) == 3
    store.append("outcomes", [_verdict(3)])
    # A kill between the file and the note of it: the file's name says it all.
    store.commit("outcomes", "landing", 0)
    assert land(settings, "outcomes", VERDICTS) == 1
    assert land(settings, "outcomes", VERDICTS) == 0
    rows = _raw(settings)
    assert rows["verdict_id"].to_list() == ["v1", "v2", "v3"]
    assert rows["is_fraud"].to_list() == [False, True, False]
    assert (rows["event_at"] <= rows["arrived_at"] + timedelta(seconds=1)).all()
    assert Lake(settings.lake).read("quarantine/verdicts")["payload"].to_list() == ["no json"]
    for file in (settings.home / "landing" / "verdicts").rglob("*.jsonl"):
        file.unlink()
    store.append("outcomes", [_verdict(4)])
    assert land(settings, "outcomes", VERDICTS) == 1
    store.close()


def _features(day: date, hours: list[int], count: float) -> pl.DataFrame:
    at = [datetime(day.year, day.month, day.day, hour, tzinfo=UTC) for hour in hours]
    values = {name: [count + hour for hour in hours] for name in CARDS_RECENT.names}
    return pl.DataFrame(
        {"card_id": ["k"] * len(at), "feature_at": at, "arrived_at": at,
         "feature_date": [day] * len(at), **values}
    ).with_columns(pl.col("feature_at", "arrived_at").cast(pl.Datetime("us", "UTC")))  # fmt: skip


def test_a_read_of_the_past_sees_the_streams_rows_until_the_batch_has_the_day(
    tmp_path: Path,
) -> None:
    lake, first, second = Lake(str(tmp_path)), date(2026, 5, 1), date(2026, 5, 2)
    streamed = pl.concat([_features(first, [9, 20], 0.0), _features(second, [9], 0.0)])
    lake.write("stream/cards__recent", streamed, partition_by="feature_date")

    def read(day: date, hour: int) -> float:
        at = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
        spine = pl.DataFrame({"card_id": ["k"], "event_at": [at]}).cast(
            {"event_at": pl.Datetime("us", "UTC")}
        )
        joined = point_in_time(lake, spine, {CARD: "card_id"}, [CARDS_RECENT])
        assert joined.height == 1
        return float(joined["card_last_amount"][0])

    assert [read(first, 12), read(first, 22), read(second, 12)] == [9.0, 20.0, 9.0]
    # The batch built the first day when only its morning had landed: the evening is the stream's.
    built = _features(first, [9], 0.0)
    lake.write("features/ftr_cards__recent", built, window=Window("feature_date", first, second))
    assert [read(first, 12), read(first, 22), read(second, 12)] == [9.0, 20.0, 9.0]
    # With a later day built, the first is the batch's alone.
    later = pl.concat([_features(first, [9, 20], 100.0), _features(second, [9], 0.0)])
    window = Window("feature_date", first, second + timedelta(days=1))
    lake.write("features/ftr_cards__recent", later, window=window)
    assert [read(first, 12), read(first, 22), read(second, 12)] == [109.0, 120.0, 9.0]
    store = MemoryOnlineStore()
    assert publish(lake, store, CARDS_RECENT) == 1
    assert store.read([(CARDS_RECENT, ["k"])])[0].values[0, -1] == 9.0
