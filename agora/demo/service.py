"""The demo's service and caller: the deployed bento as a child process, keys, HTTP."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agora.settings import child_environment
from agora.stores.keys import KeyStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agora.settings import Settings

READY_SECONDS = 60.0
ROLES = ("score", "analyst")


class TrafficError(RuntimeError):
    """The service did not start or did not answer as it should."""


class Caller:
    """Calls the service over one connection, with a key per role."""

    def __init__(self, connection: http.client.HTTPConnection, tokens: dict[str, str]) -> None:
        self._connection = connection
        self._tokens = tokens

    def post(self, path: str, body: dict[str, Any], role: str) -> dict[str, Any]:
        """The answer to a POST.

        Raises:
            TrafficError: The service refused it.
        """
        headers = {"Content-Type": "application/json"}
        headers["Authorization"] = f"Bearer {self._tokens[role]}"
        self._connection.request("POST", path, json.dumps(body), headers)
        response = self._connection.getresponse()
        text = response.read()
        if response.status >= http.client.BAD_REQUEST:
            raise TrafficError(f"POST {path} answered {response.status}: {text.decode()}")
        answer: dict[str, Any] = json.loads(text)
        return answer


@contextmanager
def calling(settings: Settings, project: Path) -> Iterator[Caller]:
    """The deployed service on a free port, and keys that end with it."""
    with socket.socket() as probe:
        probe.bind((settings.service_host, 0))
        port = probe.getsockname()[1]
    log = settings.home / "logs" / "demo_service.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "agora.cli", "serve", "fraud", "--port", str(port)]
    with (
        _tokens(settings) as tokens,
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
            yield Caller(_connect(settings.service_host, port, child, log), tokens)
        finally:
            child.terminate()


@contextmanager
def _tokens(settings: Settings) -> Iterator[dict[str, str]]:
    store, run = KeyStore(settings.keys), f"{time.time_ns():x}"
    names = {role: f"demo-{role}-{run}" for role in ROLES}
    try:
        yield {
            role: store.create(name, role, lifetime=timedelta(hours=1))
            for role, name in names.items()
        }
    finally:
        for name in names.values():
            store.revoke(name)


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
