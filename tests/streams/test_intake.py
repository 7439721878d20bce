"""What becomes of an event: a row, a known one, or a row of quarantine. Never nothing."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from agora.settings import Settings
from agora.stores.events import Event, MemoryEventStore
from agora.stores.lake import Lake
from agora.stores.online import MemoryOnlineStore
from agora.streams.intake import stamps
from agora.streams.models import moment
from agora.streams.producer import payment_event
from agora.streams.runner import Runner
from agora.streams.topics import PAYMENT_EVENTS

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from agora.streams.models import Model

# Its models are compiled once, by one worker.
pytestmark = pytest.mark.xdist_group("streams")

SECOND = 1_000_000


def _event(number: int = 0, ahead: float = -1.0, **changed: Any) -> Event:
    """A payment made `ahead` seconds from now; what is None is left out."""
    at = time.time_ns() // 1000 + int(ahead * SECOND)
    row = {
        "payment_id": f"p{number}", "customer_id": "customer", "card_id": "card",
        "merchant_id": "merchant", "amount": 10.5, "currency": "EUR", "channel": "web",
        "event_at": moment(at).isoformat(), **changed,
    }  # fmt: skip
    said = {name: value for name, value in row.items() if value is not None}
    return Event(f"p{number}", json.dumps(said).encode(), at)


@pytest.fixture
def log() -> MemoryEventStore:
    return MemoryEventStore()


@pytest.fixture
def runner(tmp_path: Path, models: list[Model], log: MemoryEventStore) -> Runner:
    return Runner(Settings(home=tmp_path), PAYMENT_EVENTS, models, log, MemoryOnlineStore())


def _taken(runner: Runner, log: MemoryEventStore, *events: Event) -> tuple[pl.DataFrame, ...]:
    """Rows of `stream/payments` and of quarantine after the events were taken."""
    log.append("payments", events)
    runner.turn()
    runner.flush()
    lake = Lake(runner.lake_root)
    return lake.read("stream/payments"), lake.read("quarantine/stream_payments")


def test_what_breaks_the_contract_is_in_quarantine_with_its_reasons(
    runner: Runner, log: MemoryEventStore
) -> None:
    good = _event(0)
    bad = [
        Event("a", b"not json", 1),
        Event("b", b"[1]", 1),
        Event("c", b"", 1),
        Event("d", b'{"payment_id": "\xff"}', 1),
        _event(1, amount=-3, channel="post"),
        _event(2, card_id=None),
        _event(3, amount="a lot"),
        _event(4, event_at="yesterday"),
    ]
    rows, refused = _taken(runner, log, *bad, good)
    assert rows["payment_id"].to_list() == ["p0"]
    said = refused.sort("row_number")["reasons"].to_list()
    assert len(said) == len(bad)
    assert said[:4] == [["line: is not a JSON object"]] * 4
    assert said[4] == [
        "amount: -3.0 is below the minimum 0",
        "channel: 'post' is not one of web, app, in_store",
    ]
    assert said[5] == ["card_id: is empty but required"]
    assert refused["source_file"].unique().to_list() == ["events/payments"]
    assert "not json" in refused["payload"].to_list()


def test_a_clock_far_ahead_is_refused_and_a_small_skew_changes_no_order(
    runner: Runner, log: MemoryEventStore
) -> None:
    rows, refused = _taken(
        runner, log, _event(1, ahead=3600), _event(2, ahead=240), _event(3, ahead=-10)
    )
    assert refused["reasons"].to_list() == [
        ["event_at: is more than 5 minutes ahead of the log's clock"]
    ]
    assert sorted(rows["payment_id"]) == ["p2", "p3"]
    cards = Lake(runner.lake_root).read("stream/cards__recent").sort("arrived_at")
    # The frontier stays where the fast clock put it; the later arrival is the newer row.
    assert cards["feature_at"].n_unique() == 1
    assert cards["payment_count_5m"].to_list() == [1.0, 2.0]


def test_the_same_event_counts_once_and_a_correction_replaces(
    runner: Runner, log: MemoryEventStore
) -> None:
    first = _event(1)
    at = json.loads(first.payload)["event_at"]
    rows, _ = _taken(runner, log, first, first, _event(2))
    assert rows.height == 2
    rows, _ = _taken(runner, log, first, _event(1, amount=99.0, event_at=at), first)
    assert rows.height == 3
    cards = Lake(runner.lake_root).read("stream/cards__recent").sort("arrived_at")
    assert cards["amount_sum_24h"].to_list() == [10.5, 21.0, 109.5]


def test_arrivals_increase_whatever_the_logs_clock_did() -> None:
    assert stamps([5, 5, 3, 9], 0).tolist() == [5, 6, 7, 9]
    assert stamps([5, 20], 7).tolist() == [8, 20]


def test_a_scored_request_is_an_event_that_holds(runner: Runner, log: MemoryEventStore) -> None:
    said = json.loads(_event(7).payload)
    request = {**said, "event_at": moment(time.time_ns() // 1000), "device_id": None, "score": 0.5}
    rows, refused = _taken(runner, log, payment_event(request))
    assert refused.is_empty()
    assert rows.select("payment_id", "amount", "device_id").rows() == [("p7", 10.5, None)]
    assert rows["event_at"].to_list() == [request["event_at"]]
