"""How many requests a caller may send: fixed windows of the `limits` library.

Counted in this worker's memory, or in Redis or Valkey for all workers together. The library's own
memory storage starts a thread every 10 ms while it is used and costs five times as much per request
as `Windows`, which plugs into the library in its place and holds a bounded number of callers.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from limits import RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.storage.base import Storage
from limits.strategies import FixedWindowRateLimiter

if TYPE_CHECKING:
    from limits import RateLimitItem

logger = logging.getLogger(__name__)
MOST_CALLERS = 10_000
# The store of features has the same budget.
STORE_SECONDS = 0.05
# A broken store costs its timeout once in this many seconds.
STORE_PAUSE = 1.0


class Windows(Storage):
    """Counts of the present window of each caller, in memory; never more than `MOST_CALLERS`."""

    STORAGE_SCHEME = ["agora+memory"]  # noqa: RUF012 - the library's own declaration

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False) -> None:
        super().__init__(uri, wrap_exceptions)
        self._windows: dict[str, list[float]] = {}

    @property
    def base_exceptions(self) -> type[Exception]:
        """What this storage raises when it fails."""
        return ValueError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count a request; returns how many the window has."""
        now = time.time()
        window = self._windows.get(key)
        if window is None or window[1] <= now:
            if window is None and len(self._windows) >= MOST_CALLERS:
                self._forget(now)
            self._windows[key] = window = [0, now + expiry]
        window[0] += amount
        return int(window[0])

    def get(self, key: str) -> int:
        """Requests of the present window."""
        window = self._windows.get(key)
        return int(window[0]) if window is not None and window[1] > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """When the present window ends."""
        window = self._windows.get(key)
        return window[1] if window is not None else time.time()

    def check(self) -> bool:
        """Memory is always there."""
        return True

    def reset(self) -> int:
        """Forget all."""
        count = len(self._windows)
        self._windows.clear()
        return count

    def clear(self, key: str) -> None:
        """Forget a caller."""
        self._windows.pop(key, None)

    def _forget(self, now: float) -> None:
        self._windows = {key: w for key, w in self._windows.items() if w[1] > now}
        while len(self._windows) >= MOST_CALLERS:
            # Those that came first go first: their windows end first.
            del self._windows[next(iter(self._windows))]


class Limit:
    """Requests that each caller may send within a window.

    With a store that all workers share, a caller's limit holds for all of them together; while it
    does not answer, each worker counts on its own.
    """

    def __init__(self, shared_url: str = "") -> None:
        self._own = FixedWindowRateLimiter(Windows())
        self._url = shared_url.replace("unix://", "redis+unix://", 1)
        self._shared: FixedWindowRateLimiter | None = None
        self._retry_at = 0.0
        self._items: dict[int, RateLimitItem] = {}

    def exceeded(self, caller: str, rate: int) -> float | None:
        """Count a request; None if it is within `rate` a second, else seconds to wait."""
        item = self._items.get(rate)
        if item is None:
            item = self._items[rate] = RateLimitItemPerSecond(rate)
        return self.take(item, caller)

    def take(self, item: RateLimitItem, caller: str) -> float | None:
        """Count a request against any limit of the library."""
        if self._url and time.monotonic() >= self._retry_at:
            try:
                return _take(self._connected(), item, caller)
            except Exception as error:
                # A payment is answered although nobody can count for all workers.
                self._retry_at = time.monotonic() + STORE_PAUSE
                logger.warning("rate limits: %s; counting alone", type(error).__name__)
        return _take(self._own, item, caller)

    def _connected(self) -> FixedWindowRateLimiter:
        if self._shared is None:
            storage = RedisStorage(
                self._url, socket_timeout=STORE_SECONDS, socket_connect_timeout=STORE_SECONDS
            )
            self._shared = FixedWindowRateLimiter(storage)
        return self._shared


def _take(limiter: FixedWindowRateLimiter, item: RateLimitItem, caller: str) -> float | None:
    if limiter.hit(item, caller):
        return None
    return max(0.0, limiter.get_window_stats(item, caller).reset_time - time.time())
