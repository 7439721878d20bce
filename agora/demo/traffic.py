"""The demo's caller: starts the deployed service and sends it a day's payments, as an app would."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.settings import child_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from pathlib import Path

    from agora.settings import Settings

REQUESTS = 500
WARM_UP = 50
READY_SECONDS = 60.0


class TrafficError(RuntimeError):
    """The service did not start or did not answer as it should."""


def drive(settings: Settings, project: Path, day: date) -> dict[str, Any]:
    """Send payments of a day one after the other; returns latencies and decisions.

    The first requests warm the service up and are not measured.
    """
    payments = _payments(settings, day)
    with _service(settings, project) as connection:
        answers, milliseconds = [], []
        for payment in payments:
            started = time.perf_counter()
            answers.append(_post(connection, payment))
            milliseconds.append(1_000 * (time.perf_counter() - started))
    measured = np.array(milliseconds[WARM_UP:])
    decisions, counts = np.unique([answer["decision"] for answer in answers], return_counts=True)
    return {
        "requests": len(measured),
        "p50_ms": round(float(np.quantile(measured, 0.5)), 2),
        "p99_ms": round(float(np.quantile(measured, 0.99)), 2),
        "degraded": sum(answer["degraded"] for answer in answers),
        "decisions": dict(zip(decisions.tolist(), counts.tolist(), strict=True)),
        "example": {"request": payments[-1], "answer": answers[-1]},
    }


def _payments(settings: Settings, day: date) -> list[dict[str, Any]]:
    from agora.registry import SYSTEMS
    from agora.stores.lake import Lake

    rows = SYSTEMS["fraud"].requests(Lake(settings.lake, settings.lake_options), day)
    # Without its time a payment is made now, as a live one is.
    return rows.tail(REQUESTS + WARM_UP).drop("event_at").to_dicts()


@contextmanager
def _service(settings: Settings, project: Path) -> Iterator[http.client.HTTPConnection]:
    with socket.socket() as probe:
        probe.bind((settings.service_host, 0))
        port = probe.getsockname()[1]
    log = settings.home / "logs" / "demo_service.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "agora.cli", "serve", "fraud", "--port", str(port)]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=project,
            env=child_environment(settings),
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as child,
    ):
        try:
            yield _connect(settings.service_host, port, child, log)
        finally:
            child.terminate()


def _connect(
    host: str, port: int, child: subprocess.Popen[bytes], log: Path
) -> http.client.HTTPConnection:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        connection = http.client.HTTPConnection(host, port, timeout=10)
        try:
            connection.request("GET", "/readyz")
            ready = connection.getresponse()
            ready.read()
            if ready.status == http.client.OK:
                return connection
        except OSError:
            pass
        connection.close()
        time.sleep(0.2)
    raise TrafficError(f"the service was not ready within {READY_SECONDS:.0f} s; see {log}")


def _post(connection: http.client.HTTPConnection, payment: dict[str, Any]) -> dict[str, Any]:
    connection.request("POST", "/score", json.dumps(payment), {"Content-Type": "application/json"})
    response = connection.getresponse()
    body = response.read()
    if response.status != http.client.OK:
        raise TrafficError(f"POST /score answered {response.status}: {body.decode()}")
    answer: dict[str, Any] = json.loads(body)
    return answer
