"""The deep tier in a service of its own, as BentoML runs it: it dies, and comes back."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest

from agora.deployment.process import running
from agora.serving import deep
from agora.serving.golden import golden_answers
from agora.settings import Settings
from agora.stores import deployments
from agora.stores.deployments import Deployment, Pointer
from agora.stores.valkey import stop_online
from tests.serving.ladder import LADDER, Ladder
from tests.toy_system import PAYMENT

if TYPE_CHECKING:
    from pathlib import Path

START_SECONDS = 120.0


def test_rows_of_a_tier_are_answered_with_its_version() -> None:
    rows = np.array([[1.0, 2.0, 0.2], [3.0, 4.0, np.nan]])
    found = deep.answer_rows(Ladder("7"), "deep", rows)
    assert found.tolist() == [[0.3, 1.0, deep.mark("7")]] * 2


@pytest.mark.parametrize(
    ("chosen", "gpu", "apart"),
    [
        ("in_process", True, False),
        ("service", False, True),
        ("auto", True, True),
        ("auto", False, False),
    ],
)
def test_a_gpu_or_a_setting_puts_the_deep_tier_into_a_service(
    chosen: Any, gpu: bool, apart: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if gpu:
        (tmp_path / "nvidia0").touch()
    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr("agora.torch_training.DEVICES", tmp_path)
    assert deep.is_apart(Settings(home=tmp_path, deep=chosen)) is apart
    assert deep.options()["resources"] == ({"gpu": 1} if gpu else {"cpu": "1"})


class Client:
    """Asks the service of the ladder."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answers: list[tuple[int, Any]] = []

    def ready(self) -> bool:
        try:
            return self._call("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def score(self) -> list[str]:
        """Fallbacks of one more answer."""
        number = len(self.answers)
        body = json.dumps({**PAYMENT, "payment_id": f"p-{number}-{threading.get_ident()}"})
        self.answers.append(self._call("POST", "/score", body))
        return self.answers[-1][1]["fallbacks"]

    def _call(self, method: str, path: str, body: str | None = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read().strip()
            return response.status, json.loads(text) if text else None
        finally:
            connection.close()


@pytest.mark.slow
def test_the_light_tier_answers_while_the_deep_service_is_dead_and_it_comes_back_by_itself(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    settings = Settings(home=tmp_path / "home", auth=False)
    folder, ladder = settings.home / "model", Ladder("1")
    ladder.save(folder)
    deployed = Deployment(
        system="toy", version="1", bento="toy:1", model=str(folder),
        golden=golden_answers(LADDER, ladder), deployed_at=datetime.now(UTC),
    )  # fmt: skip
    deployments.write(settings.deployments, Pointer(current=deployed))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    client, log = Client(port), tmp_path / "log"
    try:
        with running("tests.serving.apart", pytestconfig.rootpath, settings, port, log) as child:
            _until(client.ready, log)
            _until(lambda: client.score() == [], log)
            assert client.answers[-1][1]["score"] == 0.3
            workers = psutil.Process(child.pid).children()
            (apart,) = (each for each in workers if "toy_deep" in each.cmdline())
            apart.kill()
            _until(lambda: client.score() == ["deep"], log)
            assert client.answers[-1][1]["score"] == 0.2
            _until(lambda: client.score() == [], log)
    finally:
        stop_online(settings)
    assert {status for status, _ in client.answers} == {200}


def _until(condition: Any, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.05)
