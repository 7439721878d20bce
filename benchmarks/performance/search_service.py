"""The search service over a million products on one core, asked by eight clients that wait.

What a fallback answered is not an answer: such are counted, and none may be.
"""

from __future__ import annotations

import http.client
import json
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.deployment.process import running
from agora.settings import settings as here
from agora.stores import deployments
from agora.stores.deployments import Deployment, Pointer
from agora.stores.keys import KeyStore
from agora.stores.valkey import open_online
from agora.systems.search import SYSTEM
from benchmarks.performance.score import PROJECT, RATE, _free_port, _pin, _wait, measure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agora.settings import Settings

WARM = 500
TARGET = "bentos.search.service:Search"


def served(settings: Settings, folder: Path, bodies: Sequence[str]) -> dict[str, float]:
    """Measure through HTTP.

    Args:
        settings: An instance of its own.
        folder: A saved pipeline.
        bodies: Requests; the first `WARM` of them warm the service up.
    """
    import psutil

    with ExitStack() as stack:
        (settings.home / "encoders").symlink_to(here().home / "encoders")
        _deploy(settings, folder)
        open_online(settings).close()
        port, log = _free_port(), settings.home / "service.log"
        child = stack.enter_context(running(TARGET, PROJECT, settings, port, log))
        _wait(port, log)
        (worker,) = psutil.Process(child.pid).children()
        _pin(worker)
        keys = KeyStore(settings.keys)
        token = keys.create("benchmark", "score", rate=RATE)
        operator = keys.create("operator", "operator")
        first = _first(port, token, bodies[0])
        server, count = (port, worker), len(bodies) - WARM
        measure(server, token, "\n".join(bodies[:WARM]), WARM, SYSTEM.path)
        # Each half of the bodies once: what was typed before is remembered.
        new = "\n".join(bodies[WARM:])
        fresh = measure(server, token, new, count, SYSTEM.path)
        again = measure(server, token, new, count, SYSTEM.path)
        return {
            "first_answer_ms": first,
            "search_p50_ms": float(np.quantile(fresh["latencies"], 0.5)),
            "search_p99_ms": float(np.quantile(fresh["latencies"], 0.99)),
            "search_cpu_ms": fresh["cpu_us"] / 1e3,
            "typed_before_p99_ms": float(np.quantile(again["latencies"], 0.99)),
            "typed_before_cpu_ms": again["cpu_us"] / 1e3,
            "degraded_answers": _degraded(port, operator),
            "service_mb": worker.memory_info().rss / 2**20,
        }


def _first(port: int, token: str, body: str) -> float:
    """Milliseconds until the first answer that anybody gets."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    started = time.perf_counter()
    connection.request("POST", SYSTEM.path, body, headers)
    connection.getresponse().read()
    connection.close()
    return 1e3 * (time.perf_counter() - started)


def _degraded(port: int, token: str) -> float:
    """Answers that a fallback gave since the start."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/model", headers={"Authorization": f"Bearer {token}"})
    said: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return float(said["counts"].get("degraded", 0))


def _deploy(settings: Settings, folder: Path) -> None:
    deployment = Deployment(
        system=SYSTEM.name, version="1", bento="search:benchmark", model=str(folder),
        golden=(), deployed_at=datetime.now(UTC),
    )  # fmt: skip
    deployments.write(settings.deployments, Pointer(current=deployment))
