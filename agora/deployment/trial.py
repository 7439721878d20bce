"""A bento on trial: started on a free port of the loopback, in a home of its own."""

from __future__ import annotations

import http.client
import json
import re
import socket
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agora.deployment.errors import DeploymentError
from agora.deployment.process import running
from agora.stores import deployments, embedded
from agora.stores.keys import KeyStore

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from agora.settings import Settings
    from agora.stores.deployments import Deployment

START_SECONDS = 120.0
ERROR = re.compile(r"[\w.]*(Error|Exception): ")


@dataclass(frozen=True, slots=True)
class Trial:
    """A service that is tried.

    Attributes:
        deployment: What it serves.
        settings: Its instance, gone with it.
        port: Where it listens.
    """

    deployment: Deployment
    settings: Settings
    port: int
    _token: str
    _child: subprocess.Popen[bytes]
    _log: Path

    def wait(self) -> None:
        """Until it answers.

        Raises:
            DeploymentError: It did not start.
        """
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self._child.poll() is not None or self._has_failed():
                break
            try:
                if self.ask("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                time.sleep(0.1)
        said = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        # The cause stands above the words that say that starting failed.
        causes = [line for line in said if ERROR.match(line)] or said or ["it said nothing"]
        raise DeploymentError(f"the bento did not start: {causes[-1]}")

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Call it: status and answer.

        Raises:
            OSError: It does not answer.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            content = None if body is None else json.dumps(body)
            headers = {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {self._token}",
            }
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            text = response.read().strip()
            return response.status, json.loads(text) if text else None
        finally:
            connection.close()

    def _has_failed(self) -> bool:
        return b"Application startup failed" in self._log.read_bytes()


@contextmanager
def trying(deployment: Deployment, folder: Path, settings: Settings) -> Iterator[Trial]:
    """Start a built bento; it may not answer yet.

    It runs in a home of its own, so that its answers reach no log and its pointer no other service;
    the online store is the real one.

    Args:
        deployment: What it is to serve.
        folder: Folder of its bento.
        settings: The instance that it is tried for.
    """
    with tempfile.TemporaryDirectory(prefix="agora-smoke-") as scratch:
        home = Path(scratch)
        here = settings.model_copy(
            update={
                "home": home,
                "service_host": "127.0.0.1",
                # Each answer is computed by the bento that is tried.
                "answers_seconds": 0.0,
                "online_url": settings.online_url or embedded.start(settings.home / "online"),
            }
        )
        (home / "bentoml").symlink_to(settings.bentoml_home)
        # Of that home and gone with it: no key of the instance is made or asked for.
        token = KeyStore(here.keys).create("smoke", "deployment")
        deployments.write(here.deployments, deployments.Pointer(current=deployment))
        port, log = _free_port(), home / "service.log"
        with running(str(folder), folder, here, port, log) as child:
            yield Trial(deployment, here, port, token, child, log)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
