"""Memory of a service that answers half an hour's worth of requests: it must not grow.

The real service, by `bentoml serve`, at its own pace: 180,000 requests stand for half an hour at a
hundred a second, one id each. Its memory is read after a warm-up and at the end; a tenth of a
kilobyte kept for each request would show.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agora.settings import Settings
from agora.stores.keys import KeyStore
from agora.stores.valkey import stop_online
from agora.systems.fraud import SYSTEM
from benchmarks.performance import score

if TYPE_CHECKING:
    import psutil

MINUTES, A_SECOND = 30, 100
REQUESTS = MINUTES * 60 * A_SECOND
# Caches are full and pools have their size.
WARM_UP = 20_000
PART = 10_000
MEGABYTE = 2**20
TARGET_MB = 16.0


def run(requests: int = REQUESTS, warm_up: int = WARM_UP, part: int = PART) -> list[dict[str, Any]]:
    """Resident memory after the warm-up, and what was added by the end."""
    with tempfile.TemporaryDirectory(prefix="agora-memory-") as scratch, ExitStack() as stack:
        settings = Settings(home=Path(scratch))
        stack.callback(stop_online, settings)
        model = score.prepare(settings)
        bodies = "\n".join(map(json.dumps, score.payments(model, settings)))
        server = stack.enter_context(score.service(settings))
        token = KeyStore(settings.keys).create("benchmark", "score", rate=score.RATE)
        _drive(server, token, bodies, warm_up, part, settings)
        warm = _megabytes(server[1])
        _drive(server, token, bodies, requests - warm_up, part, settings)
        end = _megabytes(server[1])
    return [
        _row("service_memory_mb", warm, None),
        _row("service_memory_growth_mb", end - warm, TARGET_MB),
    ]


def _drive(
    server: tuple[int, psutil.Process],
    token: str,
    bodies: str,
    requests: int,
    part: int,
    settings: Settings,
) -> None:
    """Send requests; closed segments of the log go, or it would fill the disk."""
    for start in range(0, requests, part):
        score.measure(server, token, bodies, min(part, requests - start))
        log = settings.prediction_log / SYSTEM.name
        for segment in sorted(log.glob("*.log"))[:-1]:
            segment.unlink()


def _megabytes(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / MEGABYTE


def _row(metric: str, value: float, target: float | None) -> dict[str, Any]:
    met = None if target is None else value <= target
    return {
        "benchmark": "memory", "system": SYSTEM.name, "metric": metric, "value": value,
        "target": target, "reference": f"{REQUESTS:,} requests", "unit": "MB", "met": met,
    }  # fmt: skip
