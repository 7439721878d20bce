"""What a customer clicked a minute ago changes the next list, whoever asks and from wherever."""

from __future__ import annotations

import shutil
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agora.entities.customers import CUSTOMERS_INTERESTS
from agora.items import item_key
from agora.settings import Settings
from agora.stores.lake import Lake
from agora.stores.valkey import open_online
from agora.streams.running import run
from tests.bentos.recommending import Service, serving
from tests.systems.recommendation.shop import NOUNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("streams")
KINDS = len(NOUNS)
CUSTOMER, OTHER = "c-streamed", "c-other"
KIND = 3


@pytest.fixture
def service(tmp_path: Path, compiled: Path) -> Iterator[Service]:
    """A service beside a stream that runs on the same home."""
    home, stop = tmp_path, threading.Event()
    shutil.copytree(compiled / "streams", home / "streams")
    runner = threading.Thread(target=run, args=(Settings(home=home),), kwargs={"stop": stop})
    runner.start()
    try:
        _until(lambda: Lake(Settings(home=home).lake).exists("stream/interactions"), 120)
        with serving(home) as running:
            yield running
            # Its store ends with the service.
            stop.set()
            runner.join()
    finally:
        stop.set()
        runner.join()


def _until(holds: Callable[[], Any], seconds: float = 120) -> float:
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds
        time.sleep(0.05)
    return time.monotonic() - began


def _nouns(service: Service, visit: str, customer: str) -> list[str]:
    # A repeat within seconds gets the same answer, so each visit has its own id.
    status, answer = service.recommend(request_id=visit, customer_id=customer)
    assert (status, answer["degraded"]) == (200, False)
    return [item["title"].split()[0] for item in answer["items"]]


def test_a_click_told_over_http_changes_the_next_list_without_a_session(service: Service) -> None:
    status, first = service.recommend(request_id="before", customer_id=CUSTOMER)
    before = [item["title"].split()[0] for item in first["items"]]
    others = _nouns(service, "others", OTHER)
    online = open_online(service.settings)
    # By the customer's name, and by the list alone: the list knows whose it is.
    named = ({"list_id": "before", "customer_id": CUSTOMER},
             {"prediction_id": first["prediction_id"]})  # fmt: skip
    for step, list_of in enumerate(named, 1):
        click = {**list_of, "product_id": f"p{KIND + step * KINDS:04}", "kind": "click"}
        status, told = service.ask("POST", "/outcomes", click, role="analyst")
        assert (status, told["is_new"]) == (200, True)
        key = float(item_key(click["product_id"]))

        def is_first(key: float = key) -> bool:
            row = online.read([(CUSTOMERS_INTERESTS, [CUSTOMER])])[0].values[0]
            return bool(row[CUSTOMERS_INTERESTS.names.index("product_1")] == key)

        _until(is_first)
    # What the stream would set aside is refused: an acknowledged click counts.
    ahead = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
    early = {"list_id": "before", "product_id": "p0001", "kind": "click", "at": ahead}
    status, refused = service.ask("POST", "/outcomes", early, role="analyst")
    assert (status, refused["error"]["field"]) == (422, "event_at")
    after = _nouns(service, "after", CUSTOMER)
    assert after.count(NOUNS[KIND]) > before.count(NOUNS[KIND])
    # Nobody else's list has changed, and the customer's lists were not equal by chance.
    assert _nouns(service, "others later", OTHER).count(NOUNS[KIND]) == others.count(NOUNS[KIND])
    lake, landing = Lake(service.settings.lake), service.settings.home / "landing"
    _until(lambda: lake.read("stream/customers__interests").height == 2)
    rows = lake.read("stream/interactions")
    assert rows["customer_id"].to_list() == [CUSTOMER] * 2
    # One way only: what went into the log is landed by the stream alone.
    assert not list(landing.rglob("api-*"))
    online.close()
