"""A request that comes again within seconds, as an app's retry, gets the answer that it got.

Answers are kept under a versioned key: system, model version, caller, and a hash of the request's
id and content. First in this process; then, written behind the answers in batches, in the server
of the online store, where another worker or a new process finds them.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import BaseModel

    from agora.stores.online import OnlineStore

logger = logging.getLogger(__name__)
# Some hundred bytes each.
MOST = 20_000
# A retry takes longer than this to come; a batch of answers costs one round trip.
WRITE_SECONDS = 0.02
MOST_WAITING = 5_000


class Repeats:
    """Answers of the last seconds."""

    def __init__(self, system: str, seconds: float, store: OnlineStore | None = None) -> None:
        """Keep nothing yet.

        Args:
            system: Whose answers.
            seconds: How long an answer is kept; 0 keeps none.
            store: Where other processes find them.
        """
        self._prefix = f"agora:answers:{system}:"
        self._seconds = seconds
        self._store = store
        # All live equally long, so the first that came in is the first that goes.
        self._held: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()
        self._waiting: deque[tuple[str, str]] = deque(maxlen=MOST_WAITING)
        self._stopped = threading.Event()
        self._writer: threading.Thread | None = None

    def key(self, version: str, caller: str | None, request: BaseModel) -> str | None:
        """Where the answer to this request is kept; None when none are."""
        if not self._seconds:
            return None
        # What was left out was filled in: a retry differs in it, as in the time of now.
        content = f"{caller or ''}\0{request.model_dump_json(exclude_unset=True)}"
        digest = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
        return f"{self._prefix}{version}:{digest}"

    def held(self, key: str) -> str | None:
        """The answer that this process gave, as JSON."""
        found = self._held.get(key)
        return found[1] if found is not None and found[0] > time.monotonic() else None

    def keep(self, key: str, body: str, *, shared: bool = True) -> None:
        """Keep an answer that is not degraded.

        Args:
            key: Where.
            body: The answer as JSON.
            shared: Whether other processes shall find it; not again when it came from there.
        """
        now = time.monotonic()
        with self._lock:
            held = self._held
            held.pop(key, None)
            held[key] = now + self._seconds, body
            while (first := next(iter(held))) and (held[first][0] <= now or len(held) > MOST):
                del held[first]
        if shared and self._store is not None:
            self._waiting.append((key, body))
            if self._writer is None:
                self._start()

    def close(self) -> None:
        """Write what waits."""
        self._stopped.set()
        if self._writer is not None:
            self._writer.join()

    def _start(self) -> None:
        with self._lock:
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="answers", daemon=True)
                self._writer.start()

    def _write(self) -> None:
        while not self._stopped.wait(WRITE_SECONDS):
            self._write_waiting()
        self._write_waiting()

    def _write_waiting(self) -> None:
        values = {}
        while self._waiting:
            key, body = self._waiting.popleft()
            values[key] = body.encode()
        if values and self._store is not None:
            try:
                self._store.keep(values, self._seconds)
            except OSError as error:
                # A repeat is then answered anew: nothing that was promised is lost.
                logger.warning("answers are not shared: %s", type(error).__name__)
