"""The service of a system of items on one core, asked by clients that wait for their answer."""

from __future__ import annotations

import http.client
import json
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agora.deployment.build import target_of
from agora.deployment.process import running
from agora.stores import deployments
from agora.stores.deployments import Deployment, Pointer
from agora.stores.keys import KeyStore
from benchmarks.performance.score import PROJECT, RATE, _free_port, _pin, _wait, measure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import psutil

    from agora.settings import Settings
    from agora.system import System


@dataclass(frozen=True, slots=True)
class Pinned:
    """A service on one core.

    Attributes:
        system: What it serves.
        port: Where it listens.
        worker: Its process.
        token: A key that may ask.
        operator: A key that may look.
    """

    system: System
    port: int
    worker: psutil.Process
    token: str
    operator: str

    def load(self, bodies: Sequence[str], count: int) -> dict[str, Any]:
        """Answers' latencies and the CPU time of one, of so many requests of eight clients."""
        server = (self.port, self.worker)
        return measure(server, self.token, "\n".join(bodies), count, self.system.path)

    def degraded(self) -> float:
        """Answers that a fallback gave since the start."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/model", headers={"Authorization": f"Bearer {self.operator}"})
        said: dict[str, Any] = json.loads(connection.getresponse().read())
        connection.close()
        return float(said["counts"].get("degraded", 0))

    def megabytes(self) -> float:
        """Memory of the process."""
        return float(self.worker.memory_info().rss / 2**20)


@contextmanager
def pinned(system: System, settings: Settings, folder: Path) -> Iterator[Pinned]:
    """The service over a saved pipeline, until the end of the block.

    Args:
        system: A system of items.
        settings: An instance of its own, whose online store is filled.
        folder: The pipeline.
    """
    import psutil

    deployment = Deployment(
        system=system.name, version="1", bento=f"{system.name}:benchmark", model=str(folder),
        golden=(), deployed_at=datetime.now(UTC),
    )  # fmt: skip
    deployments.write(settings.deployments, Pointer(current=deployment))
    port, log = _free_port(), settings.home / "service.log"
    with running(target_of(system.name), PROJECT, settings, port, log) as child:
        _wait(port, log)
        (worker,) = psutil.Process(child.pid).children()
        _pin(worker)
        keys = KeyStore(settings.keys)
        token = keys.create("benchmark", "score", rate=RATE)
        yield Pinned(system, port, worker, token, keys.create("operator", "operator"))
