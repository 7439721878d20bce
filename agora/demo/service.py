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
ROLES = ("score", "app", "analyst")


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
def calling(settings: Settings, project: Path, system: str) -> Iterator[Caller]:
    """The deployed service of a system, and keys that end with it."""
    with tokens(settings) as own, serving(settings, project, system) as port:
        yield Caller(http.client.HTTPConnection(settings.service_host, port, timeout=10), own)


@contextmanager
def serving(settings: Settings, project: Path, system: str) -> Iterator[int]:
    """The port on which the deployed service of a system answers."""
    with socket.socket() as probe:
        probe.bind((settings.service_host, 0))
        port = probe.getsockname()[1]
    log = settings.home / "logs" / f"demo_{system}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "agora.cli", "serve", system, "--port", str(port)]
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
            _await(settings.service_host, port, child, log)
            yield port
        finally:
            child.terminate()


@contextmanager
def tokens(settings: Settings) -> Iterator[dict[str, str]]:
    """An API key of each role that the demo needs; they are revoked afterwards."""
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


def _await(host: str, port: int, child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        connection = http.client.HTTPConnection(host, port, timeout=10)
        try:
            connection.request("GET", "/readyz")
            ready = connection.getresponse()
            if ready.status == http.client.OK:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.2)
    raise TrafficError(f"the service was not ready within {READY_SECONDS:.0f} s; see {log}")
