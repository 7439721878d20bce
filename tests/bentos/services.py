"""A small fraud model and the real service around it."""

from __future__ import annotations

import http.client
import json
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agora.deployment.process import running
from agora.serving.golden import golden_answers
from agora.settings import Settings
from agora.stores import deployments
from agora.stores.deployments import Deployment, Pointer
from agora.stores.keys import ROLES, KeyStore
from agora.stores.valkey import stop_online
from agora.systems.fraud import SYSTEM
from agora.systems.fraud.pipeline import FraudPipeline, Params
from tests.systems.synthetic import training_set

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

PROJECT = Path(__file__).parents[2]
QUICK = Params.quick()
SECONDS_TO_START = 120
PAYMENT = {
    "payment_id": "p-1", "customer_id": "c-1", "card_id": "secret-card", "merchant_id": "m-1",
    "device_id": "d-1", "amount": 24.9, "currency": "EUR", "channel": "web", "country": "FR",
    "latitude": 48.86, "longitude": 2.35,
}  # fmt: skip


def until_ready(ask: Callable[[], int], child: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a service says 200; one that ends, or takes too long, fails with its log."""
    until = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            if ask() == 200:
                return
        except OSError:
            assert child.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.1)


def fit_versions(folder: Path, *versions: str) -> dict[str, Path]:
    """One small fitted pipeline, saved under several versions."""
    pipeline = FraudPipeline(QUICK).fit(training_set(SYSTEM, 3_000))
    folders = {}
    for version in versions:
        pipeline.version = version
        folders[version] = folder / version
        pipeline.save(folders[version])
    return folders


def point(settings: Settings, folder: Path, **changes: Any) -> Deployment:
    """Point the service at a saved pipeline, as a finished deployment does."""
    pipeline = SYSTEM.load(folder)
    fields = {
        "system": "fraud", "version": pipeline.version, "bento": "fraud:test",
        "model": str(folder), "golden": golden_answers(SYSTEM, pipeline),
        "deployed_at": datetime.now(UTC),
    }  # fmt: skip
    deployment = Deployment(**{**fields, **changes})
    deployments.write(settings.deployments, Pointer(current=deployment))
    return deployment


@dataclass
class Service:
    """A running service."""

    port: int
    settings: Settings
    child: subprocess.Popen[bytes]
    log: Path
    tokens: dict[str, str]

    def call(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, Any]:
        status, answer, _ = self.ask(method, path, body, **headers)
        return status, answer

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, Any, dict[str, str]]:
        """A call with the key that the page asks for, unless it brings one; also its headers."""
        role = {"/score": "score", "/outcomes": "analyst"}.get(path, "operator")
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if not {"authorization", "x-api-key"} & sent.keys():
            sent["authorization"] = f"Bearer {self.tokens[role]}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            text = response.read()
            is_json = "json" in (response.getheader("content-type") or "")
            answer = json.loads(text) if is_json and text else text.decode()
            return response.status, answer, {k.lower(): v for k, v in response.getheaders()}
        finally:
            connection.close()

    def report(self, outcome: Any) -> tuple[int, Any]:
        body = json.dumps(outcome).encode()
        return self.call("POST", "/outcomes", body, content_type="application/json")

    def score(self, payment: Any) -> tuple[int, Any]:
        body = payment if isinstance(payment, bytes) else json.dumps(payment).encode()
        return self.call("POST", "/score", body, content_type="application/json")


@contextmanager
def serving(settings: Settings, log: Path) -> Iterator[Service]:
    """The service of the working tree, by BentoML's own command, until the end of the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    keys = KeyStore(settings.keys)
    tokens = {role: keys.create(f"test-{role}", role, rate=10**6) for role in ROLES}
    with running("bentos.fraud.service:Fraud", PROJECT, settings, port, log) as child:
        service = Service(port, settings, child, log, tokens)
        until_ready(lambda: service.call("GET", "/readyz")[0], child, log)
        yield service


@contextmanager
def serving_model(home: Path, model: Path) -> Iterator[Service]:
    """The service with a saved pipeline, in a home of its own."""
    settings = Settings(home=home)
    point(settings, model)
    try:
        with serving(settings, home / "service.log") as running_service:
            yield running_service
    finally:
        stop_online(settings)
