"""Circuit breakers: what failed several times is left alone, then tried again by one request.

pybreaker counts and decides. While all is well it is only asked for its state: its own way around
a call costs ten times as much, and cannot be awaited.
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any

import pybreaker

if TYPE_CHECKING:
    from agora.serving.observer import Observer

logger = logging.getLogger(__name__)
# One late answer of a busy machine is no outage; three in a row are.
FAILURES = 3
PAUSE_SECONDS = 1.0
CLOSED = pybreaker.STATE_CLOSED


class Breaker(pybreaker.CircuitBreakerListener):
    """Guards one thing that may fail.

    Opens after `FAILURES` failures in a row; after `PAUSE_SECONDS` one call probes it, and its
    outcome closes or opens the breaker again.

    Attributes:
        name: What is guarded: `store`, or the name of a tier.
    """

    def __init__(self, name: str, observer: Observer) -> None:
        self.name = name
        self._observer = observer
        self._changed_at = 0.0
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=FAILURES, reset_timeout=PAUSE_SECONDS, listeners=[self], name=name
        )

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        return self._breaker.current_state

    @property
    def is_suspect(self) -> bool:
        """Whether the last call failed."""
        breaker = self._breaker
        return breaker.fail_counter > 0 or breaker.current_state != CLOSED

    def allows(self) -> bool:
        """Whether a call may be made now; when it is, say how it went."""
        if self._breaker.current_state == CLOSED:
            return True
        if time.monotonic() - self._changed_at < PAUSE_SECONDS:
            return False
        # Also when half-open: the probe before this one was cancelled and will never report.
        self._breaker.half_open()
        return True

    def succeeded(self) -> None:
        """A call was answered in time."""
        if self.is_suspect:
            # Another thread's failure may have opened it meanwhile: that stands.
            with contextlib.suppress(pybreaker.CircuitBreakerError):
                self._breaker.call(_nothing)

    def failed(self, error: BaseException) -> None:
        """A call failed, or came too late."""
        # Its type only: a message may repeat the request.
        logger.warning("%s: %s", self.name, type(error).__name__)
        with contextlib.suppress(pybreaker.CircuitBreakerError, type(error)):
            self._breaker.call(_raise, error)

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        """Called by pybreaker."""
        self._changed_at = time.monotonic()
        self._observer.breaker_changed(self.name, new_state.name)
        logger.warning("breaker of %s: %s", self.name, new_state.name)


def _nothing() -> None:
    return None


def _raise(error: BaseException) -> None:
    raise error
