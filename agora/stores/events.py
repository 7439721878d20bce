"""The events store: ordered topics that are appended to and read from a position.

The protocol, then its in-memory adapter, which is the readable specification, and `open_events`.
The adapters are in `agora.stores.valkey_events` and `agora.stores.kafka_events`.

A topic is one ordered log. Order, and the time of arrival, are the log's own: no clock of a
producer moves an event. A reader keeps its position with what it makes of the events, in one Delta
commit, so that both move together; `commit` tells the store, which then may forget.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agora.settings import Settings

START = 0
"""The position before the first event of any topic."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a producer says happened.

    Attributes:
        key: Identifies the event at its producer: a retry carries the same key.
        payload: The event, encoded: the platform's own are JSON objects.
        event_at: When it happened, by the producer's clock: microseconds UTC.
    """

    key: str
    payload: bytes
    event_at: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive events of a topic, by column.

    Attributes:
        positions: Increasing, above `START`; they need not be dense.
        arrived_at: When the log took each: microseconds UTC, never decreasing.
        events: The events.
    """

    positions: list[int] = field(default_factory=list)
    arrived_at: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __len__(self) -> int:
        """How many events."""
        return len(self.positions)


class EventStore(Protocol):
    """Port of the events store; one store may be shared between threads.

    A store that does not answer raises `ConnectionError`. An append that failed may have been
    taken: it is tried again and the reader takes equal events once.
    """

    def append(self, topic: str, events: Sequence[Event]) -> int:
        """Add events in order; returns the last one's position once the store has them all.

        Of no events it is `START`.
        """
        ...

    def read(self, topic: str, after: int, limit: int = 5_000, wait: float = 0.0) -> Batch:
        """The next events above a position, at most `limit`.

        Args:
            topic: A topic without events reads as empty.
            after: Position of the last event taken, or `START`.
            limit: Most events returned.
            wait: Seconds to wait for the first event when there is none.
        """
        ...

    def commit(self, topic: str, group: str, position: int) -> None:
        """Note that a group of readers needs nothing up to this position any more."""
        ...

    def committed(self, topic: str, group: str) -> int:
        """What the group committed last, or `START`."""
        ...

    def trim(self, topic: str) -> None:
        """Forget what every group that ever committed has taken, or leave it to the store."""
        ...

    def close(self) -> None:
        """Give connections back."""
        ...


class MemoryEventStore:
    """The events store in lists: what every adapter must do, and a store for one process.

    Args:
        clock: The log's clock: microseconds UTC.
    """

    def __init__(self, clock: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._clock = clock
        self._topics: dict[str, Batch] = {}
        self._last: dict[str, int] = {}
        self._groups: dict[str, dict[str, int]] = {}
        self._changed = threading.Condition()

    def append(self, topic: str, events: Sequence[Event]) -> int:
        """Add events in order; returns the last one's position."""
        if not events:
            return START
        with self._changed:
            held = self._topics.setdefault(topic, Batch())
            first = self._last.get(topic, START) + 1
            now = max([self._clock(), *held.arrived_at[-1:]])
            held.positions.extend(range(first, first + len(events)))
            held.arrived_at.extend([now] * len(events))
            held.events.extend(events)
            self._last[topic] = first + len(events) - 1
            self._changed.notify_all()
            return self._last[topic]

    def read(self, topic: str, after: int, limit: int = 5_000, wait: float = 0.0) -> Batch:
        """The next events above a position, at most `limit`."""
        with self._changed:
            self._changed.wait_for(lambda: self._last.get(topic, START) > after, wait)
            held = self._topics.get(topic, Batch())
            first = sum(position <= after for position in held.positions)
            rows = slice(first, first + limit)
            return Batch(held.positions[rows], held.arrived_at[rows], held.events[rows])

    def commit(self, topic: str, group: str, position: int) -> None:
        """Note that a group of readers needs nothing up to this position any more."""
        with self._changed:
            self._groups.setdefault(topic, {})[group] = position

    def committed(self, topic: str, group: str) -> int:
        """What the group committed last, or `START`."""
        return self._groups.get(topic, {}).get(group, START)

    def trim(self, topic: str) -> None:
        """Forget what every group that ever committed has taken."""
        with self._changed:
            taken = min(self._groups.get(topic, {}).values(), default=START)
            held = self._topics.get(topic, Batch())
            gone = sum(position <= taken for position in held.positions)
            for column in (held.positions, held.arrived_at, held.events):
                del column[:gone]

    def close(self) -> None:
        """Nothing is held open."""


def open_events(settings: Settings, timeout: float = 5.0) -> EventStore:
    """The events store of the settings: Valkey or Kafka by URL, or the home's embedded Valkey.

    Args:
        settings: Where it is.
        timeout: Seconds after which a connection or an answer is given up.

    Raises:
        ConnectionError: The embedded server does not start.
        ValueError: The URL names no known store.
    """
    from agora.stores import embedded

    url = settings.events_url or embedded.start(settings.home / "online")
    scheme = url.partition("://")[0]
    if scheme == "kafka":
        from agora.stores.kafka_events import KafkaEventStore

        return KafkaEventStore(url, timeout=timeout)
    if scheme in ("redis", "rediss", "unix"):
        from agora.stores.valkey_events import ValkeyEventStore

        return ValkeyEventStore(url, timeout=timeout)
    raise ValueError(f"events_url {scheme}://: use redis://, rediss://, unix:// or kafka://")
