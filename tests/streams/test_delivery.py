"""What was told reaches the log or the landing folder, one of the two, whatever is killed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from agora.settings import Settings
from agora.shopping.requests import Outcome
from agora.stores import embedded
from agora.stores.events import open_events
from agora.stores.lake import Lake
from agora.stores.outcome_inbox import OutcomeInbox, Reported
from agora.streams import delivery
from agora.streams.delivery import Delivery
from agora.streams.running import run
from agora.streams.topics import INTERACTION_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Its models are compiled once, by one worker.
pytestmark = pytest.mark.xdist_group("streams")

VERDICT = Reported(
    "verdicts", "verdict_id", ("p-1", "ana"),
    {"payment_id": "p-1", "analyst_id": "ana", "is_fraud": True, "event_at": None},
)  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path, compiled: Path) -> Iterator[Settings]:
    (tmp_path / "streams").symlink_to(compiled / "streams")
    yield Settings(home=tmp_path)
    embedded.stop(tmp_path / "online")


@pytest.fixture
def inbox(tmp_path: Path) -> OutcomeInbox:
    return OutcomeInbox(tmp_path / "inbox.sqlite")


def _click(product: str) -> Reported:
    said = Outcome(list_id="list", product_id=product, kind="click", customer_id="c-1")
    return said.reported("list", "caller")


def _in_log(settings: Settings) -> list[str]:
    store = open_events(settings)
    try:
        return [event.key for event in store.read("interactions", 0).events]
    finally:
        store.close()


def _landed(settings: Settings) -> list[str]:
    return sorted(path.parts[-3] for path in (settings.home / "landing").rglob("api-*"))


def test_without_a_stream_everything_lands(settings: Settings, inbox: OutcomeInbox) -> None:
    inbox.add(_click("a"))
    inbox.add(VERDICT)
    assert Delivery(inbox, settings).deliver() == 2
    assert _landed(settings) == ["interactions", "verdicts"]
    assert _in_log(settings) == []


def test_beside_a_stream_clicks_go_into_the_log_and_come_out_once(
    settings: Settings, inbox: OutcomeInbox
) -> None:
    run(settings, once=True)
    for product in "ab":
        inbox.add(_click(product))
    inbox.add(VERDICT)
    assert Delivery(inbox, settings).deliver() == 3
    assert _landed(settings) == ["verdicts"]
    assert run(settings, once=True) == 2
    inbox.add(_click("c"))
    # A service that starts again sends its last minute again: the log may not have it.
    again = Delivery(inbox, settings)
    assert (again.deliver(), again.deliver()) == (3, 0)
    again.close()
    assert run(settings, once=True) == 3
    rows = Lake(settings.lake).read("stream/interactions").sort("arrived_at")
    assert rows["product_id"].to_list() == ["a", "b", "c"]
    assert rows["interaction_id"].to_list() == [_click(each).outcome_id for each in "abc"]
    assert Lake(settings.lake).read("quarantine/stream_interactions").is_empty()
    assert Lake(settings.lake).read("stream/customers__interests").height == 3


def test_a_log_that_is_gone_keeps_clicks_waiting(settings: Settings, inbox: OutcomeInbox) -> None:
    run(settings, once=True)
    inbox.add(_click("a"))
    unreachable = Settings(home=settings.home, events_url="redis://127.0.0.1:1")
    taker = Delivery(inbox, unreachable)
    with pytest.raises(ConnectionError):
        taker.deliver()
    assert inbox.waiting() == 1
    assert _landed(settings) == []
    assert Delivery(inbox, settings).deliver() == 1
    assert len(_in_log(settings)) == 1


def test_a_stream_that_was_given_up_holds_back_no_label(
    settings: Settings, inbox: OutcomeInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(settings, once=True)
    assert "interactions" in delivery.streamed(settings)
    monkeypatch.setattr(delivery, "GRACE", delivery.GRACE * 0)
    time.sleep(0.01)
    inbox.add(_click("a"))
    assert Delivery(inbox, settings).deliver() == 1
    assert _landed(settings) == ["interactions"]
    assert INTERACTION_EVENTS.name not in delivery.streamed(settings)
