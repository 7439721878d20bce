"""The search service over a million products on one core, asked by eight clients that wait.

What a fallback answered is not an answer: such are counted, and none may be.
"""

from __future__ import annotations

import http.client
import time
from typing import TYPE_CHECKING

import numpy as np

from agora.settings import settings as here
from agora.stores.valkey import open_online
from agora.systems.search import SYSTEM
from benchmarks.performance.pinned import pinned

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agora.settings import Settings

WARM = 500


def served(settings: Settings, folder: Path, bodies: Sequence[str]) -> dict[str, float]:
    """Measure through HTTP.

    Args:
        settings: An instance of its own.
        folder: A saved pipeline.
        bodies: Requests; the first `WARM` of them warm the service up.
    """
    (settings.home / "encoders").symlink_to(here().home / "encoders")
    open_online(settings).close()
    with pinned(SYSTEM, settings, folder) as service:
        first = _first(service.port, service.token, bodies[0])
        service.load(bodies[:WARM], WARM)
        # Each half of the bodies once: what was typed before is remembered.
        new = bodies[WARM:]
        fresh, again = (service.load(new, len(new)) for _ in range(2))
        return {
            "first_answer_ms": first,
            "search_p50_ms": float(np.quantile(fresh["latencies"], 0.5)),
            "search_p99_ms": float(np.quantile(fresh["latencies"], 0.99)),
            "search_cpu_ms": fresh["cpu_us"] / 1e3,
            "typed_before_p99_ms": float(np.quantile(again["latencies"], 0.99)),
            "typed_before_cpu_ms": again["cpu_us"] / 1e3,
            "degraded_answers": service.degraded(),
            "service_mb": service.megabytes(),
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
