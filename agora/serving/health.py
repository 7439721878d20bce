"""Health of a service: alive is not the same as ready, and ready not the same as whole."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from agora.serving.live import Live

ALIVE = b'{"alive": true}'
# Anybody may ask: what is asked of disk and store is asked once in this many seconds.
KEPT_SECONDS = 1.0
PROBE = ".probe"


class Health:
    """Whether a service should get requests, and what its answers lack.

    It is ready when a model is loaded and its log can be written, for an answer that is not logged
    is not given. Without its store it answers from fallbacks: it stays ready, and says so.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._kept: tuple[int, bytes] = (503, b"")
        self._until = 0.0
        self._asking = asyncio.Lock()

    async def ready(self, live: Live | None) -> tuple[int, bytes]:
        """Status and body of the probe."""
        async with self._asking:
            if time.monotonic() >= self._until:
                # A store that hangs is waited for elsewhere than where requests are answered.
                self._kept = await asyncio.to_thread(self._examine, live)
                self._until = time.monotonic() + KEPT_SECONDS
        return self._kept

    def _examine(self, live: Live | None) -> tuple[int, bytes]:
        missing = [] if live is not None else ["model"]
        if not is_writable(self._log):
            missing.append("log")
        degraded = _degraded(live.describe()) if live is not None else []
        body = {"ready": not missing, "missing": missing, "degraded": degraded}
        return 503 if missing else 200, json.dumps(body).encode()


def is_writable(folder: Path) -> bool:
    """Whether a byte can be written there: permissions, a full disk, a disk that is gone."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(folder / PROBE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            return os.write(file, b"1") == 1
        finally:
            os.close(file)
    except OSError:
        return False


def _degraded(described: dict[str, Any]) -> list[str]:
    parts = [] if described["online_store"] else ["store"]
    open_breakers = described.get("breakers", {})
    parts += [name for name, state in open_breakers.items() if state != "closed"]
    parts += ["deployment"] if described["problem"] else []
    parts += ["index"] if described.get("index", {}).get("problem") else []
    return sorted(set(parts))
