"""The real service of a system of items, around a pipeline that was just saved."""

from __future__ import annotations

import http.client
import json
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from agora.deployment.build import target_of
from agora.deployment.process import running
from agora.serving.golden import golden_answers
from agora.stores import deployments
from agora.stores.deployments import Deployment, Pointer
from agora.stores.keys import ROLES, KeyStore
from agora.stores.valkey import stop_online
from tests.bentos.services import PROJECT, until_ready

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agora.pipeline import Pipeline
    from agora.settings import Settings
    from agora.system import System


# Longer than a breaker stays open.
TRIES, PAUSE_SECONDS = 8, 0.2


def until(holds: Any, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.2)


@dataclass
class ItemService:
    """A running service.

    Attributes:
        port: Where it listens.
        settings: Its instance.
        tokens: Key by role.
        model: Folder of its pipeline.
    """

    port: int
    settings: Settings
    tokens: dict[str, str]
    model: Path

    def ask(self, method: str, path: str, body: Any = None, role: str = "score") -> tuple[int, Any]:
        """A call with the key of a role; status and answer."""
        sent = {"authorization": f"Bearer {self.tokens[role]}", "content-type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, content, sent)
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None
        finally:
            connection.close()

    def chosen(self, path: str, body: Any, *, once: bool = False) -> tuple[int, Any]:
        """A list with all its parts, if one of several answers has them; status and answer.

        A stage has some milliseconds, which a busy machine exceeds now and then. What is out of
        order lacks in each answer: to see that, the first will do.
        """
        for _ in range(1 if once else TRIES):
            status, answer = self.ask("POST", path, body)
            if status != 200 or not answer["degraded"]:
                break
            time.sleep(PAUSE_SECONDS)
        return status, answer

    def outcomes_become_interactions(self, answer: Any, list_id: str, customer_id: str) -> None:
        """What a customer takes of an answer is kept once, however often it is told, and lands."""
        told = {
            "prediction_id": answer["prediction_id"], "customer_id": customer_id,
            "product_id": answer["items"][0]["product_id"], "kind": "purchase",
        }  # fmt: skip
        status, first = self.ask("POST", "/outcomes", told, role="analyst")
        assert (status, first["is_new"]) == (200, True)
        again = {**told, "list_id": list_id}
        assert self.ask("POST", "/outcomes", again, role="analyst")[1] == {**first, "is_new": False}
        until(lambda: self._landed(list_id))
        rows = [(row["kind"], row["customer_id"]) for row in self._landed(list_id)]
        assert rows == [("purchase", customer_id)]

    def _landed(self, list_id: str) -> list[dict[str, Any]]:
        # A file that is being written has another ending.
        files = (self.settings.home / "landing" / "interactions").rglob("*.jsonl")
        rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        return [row for row in rows if row["list_id"] == list_id]


Kind = TypeVar("Kind", bound=ItemService)


def deployed(system: System, pipeline: Pipeline, settings: Settings) -> Path:
    """Save a pipeline and point the instance at it; returns its folder."""
    model = settings.home / "model"
    pipeline.version = "1"
    pipeline.save(model)
    deployment = Deployment(
        system=system.name, version="1", bento=f"{system.name}:test", model=str(model),
        golden=golden_answers(system, system.load(model)), deployed_at=datetime.now(UTC),
    )  # fmt: skip
    deployments.write(settings.deployments, Pointer(current=deployment))
    return model


@contextmanager
def serving_items(
    kind: type[Kind], system: System, pipeline: Pipeline, settings: Settings
) -> Iterator[Kind]:
    """The service of the working tree with this pipeline, until the end of the block."""
    model = deployed(system, pipeline, settings)
    try:
        with listening(kind, system, settings, model) as service:
            yield service
    finally:
        stop_online(settings)


@contextmanager
def listening(kind: type[Kind], system: System, settings: Settings, model: Path) -> Iterator[Kind]:
    """The service of the working tree with what an instance points at, once it is ready."""
    keys = KeyStore(settings.keys)
    tokens = {role: keys.create(f"test-{role}", role, rate=10**6) for role in ROLES}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = settings.home / "service.log"
    with running(target_of(system.name), PROJECT, settings, port, log) as child:
        service = kind(port, settings, tokens, model)
        until_ready(lambda: service.ask("GET", "/readyz")[0], child, log)
        yield service
