"""The pages of a toy service, asked in this process."""

from __future__ import annotations

import asyncio
import io
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx

from agora.serving import logs
from agora.serving.golden import golden_answers
from agora.serving.http import Scoring, ScoringFirst
from agora.serving.live import Live
from agora.stores import deployments
from agora.stores.deployments import Deployment, Pointer
from agora.stores.keys import KeyStore
from agora.stores.online import MemoryOnlineStore
from agora.stores.predictions import FilePredictionLog
from agora.systems.fraud.schema import Outcome
from tests.toy_system import PAYMENT, ToyPipeline, toy_system

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora.pipeline import Pipeline
    from agora.settings import Settings
    from agora.system import System


class Unplugged(MemoryOnlineStore):
    """An online store that can be made to fail."""

    down = False

    def read_request(self, *arguments: Any, **named: Any) -> Any:
        if self.down:
            raise ConnectionError("down")
        return super().read_request(*arguments, **named)

    def ping(self) -> bool:
        return not self.down


@dataclass
class Pages:
    """A toy service behind its gateway."""

    app: ScoringFirst
    scoring: Scoring
    settings: Settings
    store: Unplugged
    lines: io.StringIO

    @property
    def keys(self) -> KeyStore:
        return KeyStore(self.settings.keys)

    def ask(
        self, method: str, path: str, token: str = "", *, peer: str = "127.0.0.1", **sent: Any
    ) -> httpx.Response:
        headers = {
            **({"Authorization": f"Bearer {token}"} if token else {}),
            **sent.pop("headers", {}),
        }

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=(peer, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://toy") as client:
                return await client.request(method, path, headers=headers, **sent)

        return asyncio.run(send())

    def score(self, token: str, number: int = 0, **sent: Any) -> httpx.Response:
        payment = {**PAYMENT, "payment_id": f"p-{number}"}
        return self.ask("POST", "/score", token, json=payment, **sent)


async def _nowhere(*_: Any) -> None:
    raise AssertionError("only what is not HTTP is passed on")


@contextmanager
def pages(settings: Settings) -> Iterator[Pages]:
    """A toy service on this home."""
    with pages_of(replace(toy_system(), report=Outcome), ToyPipeline("1"), settings) as opened:
        yield opened


@contextmanager
def pages_of(system: System, pipeline: Pipeline, settings: Settings) -> Iterator[Pages]:
    """A system's service on this home, answering with a deployed pipeline."""
    folder = settings.home / "model"
    pipeline.save(folder)
    deployed = Deployment(
        system=system.name, version="1", bento=f"{system.name}:1", model=str(folder),
        golden=golden_answers(system, pipeline), deployed_at=datetime.now(UTC),
    )  # fmt: skip
    deployments.write(settings.deployments, Pointer(current=deployed))
    scoring, store, lines = Scoring(system, settings), Unplugged(), io.StringIO()
    scoring.open()
    logs.configure(lines)
    scoring._lines = logs.RequestLog(system.name, lines)
    log = FilePredictionLog(settings.prediction_log / system.name)
    scoring.live = Live(system, settings, store, log, observer=scoring.metrics)
    try:
        yield Pages(ScoringFirst(_nowhere, scoring), scoring, settings, store, lines)
    finally:
        scoring.live.close()
        scoring.close()
