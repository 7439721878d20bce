"""Requests that the service fails raise an alert, those that callers err in do not."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
import uvicorn

from agora.alerts import Situation, firing
from agora.alerts.availability import WINDOW, Reading, increase
from agora.settings import Settings
from agora.stores.keys import KeyStore
from agora.systems.fraud import SYSTEM as FRAUD
from tests.serving.pages import Pages, pages
from tests.toy_system import PAYMENT, toy_system

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOY = replace(toy_system(), budgets=FRAUD.budgets)


@contextmanager
def heard(shop: Pages) -> Iterator[None]:
    """The service's pages over a socket, on the port that its settings name."""
    host, port = shop.settings.service_host, shop.settings.service_port
    server = uvicorn.Server(
        uvicorn.Config(shop.app, host=host, port=port, lifespan="off", log_config=None)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path / "home"
    key = KeyStore(Settings(home=home).keys).create("alerts", "operator")
    return Settings(home=home, service_port=port, operator_key=key)


def without_a_log(shop: Pages) -> None:
    """Put a file where the log's folder was: what is not logged is not answered."""
    shop.scoring.live._log.close()
    folder = shop.settings.prediction_log / "toy"
    shutil.rmtree(folder)
    folder.touch()


def said(settings: Settings, after: timedelta = timedelta(0)) -> str:
    """Text of the alert, if there is one."""
    now = datetime.now(UTC) + after
    found = {each.name: each.text for each in firing(Situation.of(TOY, settings, now))}
    return found.get("availability", "")


def test_failed_requests_above_the_budget_raise_an_alert_for_an_hour(settings: Settings) -> None:
    with pages(settings) as shop, heard(shop):
        url = f"http://127.0.0.1:{settings.service_port}/score"
        token = shop.keys.create("shop", "score")
        with httpx.Client(headers={"Authorization": f"Bearer {token}"}) as client:
            for number in range(150):
                sent = {**PAYMENT, "payment_id": f"p-{number}"}
                assert client.post(url, json=sent).status_code == 200
                assert client.post(url, json={}).status_code == 422
            assert said(settings) == ""
            without_a_log(shop)
            for number in range(150, 153):
                sent = {**PAYMENT, "payment_id": f"p-{number}"}
                assert client.post(url, json=sent).status_code == 503
        assert said(settings) == "1.96% of 153 requests failed in an hour, budget 0.10%"
        without = settings.model_copy(update={"operator_key": ""})
        assert said(without) == "", "who may not look is silent"
        assert said(settings, WINDOW + timedelta(minutes=1)) == "", "it is over"


def test_counts_of_processes_that_came_and_went_are_added() -> None:
    since, old, new = 3_600.0, 10.0, 5_000.0
    readings = [
        Reading(3_700.0, old, 1_000.0, 50.0),
        Reading(4_900.0, old, 1_200.0, 53.0),
        Reading(5_100.0, new, 40.0, 1.0),
        Reading(5_200.0, new, 90.0, 1.0),
    ]
    assert increase(readings, since) == (200.0 + 90.0, 3.0 + 1.0)
    assert increase(readings[:1], since) == (0.0, 0.0)
    assert increase([], since) == (0.0, 0.0)
