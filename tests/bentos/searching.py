"""A small search model and the real service around it."""

from __future__ import annotations

import http.client
import json
import socket
import time
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agora.deployment.process import running
from agora.serving.golden import golden_answers
from agora.settings import Settings
from agora.settings import settings as here
from agora.stores import deployments
from agora.stores.deployments import Deployment, Pointer
from agora.stores.keys import ROLES, KeyStore
from agora.stores.valkey import stop_online
from agora.systems.search import SYSTEM
from tests.bentos.services import PROJECT
from tests.systems.search.shop import fitted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TARGET = "bentos.search.service:Search"
SECONDS_TO_START = 120


@dataclass
class Service:
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
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, content, sent)
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None
        finally:
            connection.close()

    def search(self, query: str, **fields: Any) -> tuple[int, Any]:
        """The answer to a query."""
        return self.ask("POST", "/search", {"request_id": "search", "query": query, **fields})


@contextmanager
def serving(home: Path, encoder: str = "") -> Iterator[Service]:
    """The service of the working tree with the shop's pipeline, until the end of the block.

    Args:
        home: Folder of its instance.
        encoder: Another encoder than the shop's, for the service alone.
    """
    settings, model = Settings(home=home), home / "model"
    # As an instance that has trained before has it.
    (home / "encoders").symlink_to(here().home / "encoders")
    pipeline = copy(fitted())
    pipeline.version = "1"
    if encoder:
        # Its index has vectors, but what is asked cannot be encoded.
        pipeline.params = replace(pipeline.params, encoder=encoder)
    pipeline.save(model)
    deployment = Deployment(
        system=SYSTEM.name, version="1", bento=f"{SYSTEM.name}:test", model=str(model),
        golden=golden_answers(SYSTEM, SYSTEM.load(model)), deployed_at=datetime.now(UTC),
    )  # fmt: skip
    deployments.write(settings.deployments, Pointer(current=deployment))
    keys = KeyStore(settings.keys)
    tokens = {role: keys.create(f"test-{role}", role, rate=10**6) for role in ROLES}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = home / "service.log"
    with running(TARGET, PROJECT, settings, port, log) as child:
        service = Service(port, settings, tokens, model)
        until = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                if service.ask("GET", "/readyz")[0] == 200:
                    break
            except OSError:
                assert child.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        yield service
    stop_online(settings)
