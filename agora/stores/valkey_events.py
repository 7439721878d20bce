"""The events store on Valkey or Redis streams: one stream per topic.

An entry's id is the server's clock and a counter, and the position is both in one whole number.
The server writes an append to its log file before it answers: a killed server loses nothing that
was acknowledged. With `appendfsync everysec`, which the embedded server has, a crash of the machine
can lose the last second (two when the disk is busy), and the online rows of that second with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from agora.stores.events import START, Batch, Event

if TYPE_CHECKING:
    from collections.abc import Sequence

COUNTER_BITS = 20
COUNTER = (1 << COUNTER_BITS) - 1
# Entries sent in one round trip: memory of the client's buffer against its cost.
BLOCK = 1_000


class ValkeyEventStore:
    """The events store on a Valkey or Redis server.

    Args:
        url: redis://, rediss:// or unix://.
        timeout: Seconds after which a connection or an answer is given up.
    """

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        self._timeout = timeout
        self._url = url
        self._client = self._connected(timeout)
        # A read that waits must not be given up while it waits.
        self._patient: tuple[float, redis.Redis] | None = None

    def append(self, topic: str, events: Sequence[Event]) -> int:
        """Add events in order; returns the last one's position once the server has them all."""
        key, last = _stream(topic), b""
        try:
            for at in range(0, len(events), BLOCK):
                pipeline = self._client.pipeline(transaction=False)
                for event in events[at : at + BLOCK]:
                    pipeline.execute_command(  # type: ignore[no-untyped-call]
                        "XADD", key, "*", "k", event.key, "e", event.event_at, "p", event.payload
                    )
                last = pipeline.execute()[-1]
        except redis.ConnectionError as error:
            raise ConnectionError(str(error)) from error
        except redis.TimeoutError as error:
            raise ConnectionError(f"no answer within {self._timeout} s: {error}") from error
        return _position(last) if last else START

    def read(self, topic: str, after: int, limit: int = 5_000, wait: float = 0.0) -> Batch:
        """The next events above a position, at most `limit`."""
        command: list[Any] = ["XREAD", "COUNT", limit]
        # BLOCK 0 would wait for ever.
        command += ["BLOCK", max(1, int(wait * 1000))] if wait > 0 else []
        command += ["STREAMS", _stream(topic), _entry(after)]
        try:
            found = self._waiting(wait).execute_command(*command)  # type: ignore[no-untyped-call]
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise ConnectionError(str(error)) from error
        entries = found[0][1] if found else []
        positions = [_position(entry) for entry, _ in entries]
        return Batch(
            positions=positions,
            # Within a millisecond the counter keeps the order; it hardly ever reaches 1,000.
            arrived_at=[(at >> COUNTER_BITS) * 1000 + min(at & COUNTER, 999) for at in positions],
            events=[_event(fields) for _, fields in entries],
        )

    def commit(self, topic: str, group: str, position: int) -> None:
        """Note that a group of readers needs nothing up to this position any more."""
        self._ask("HSET", _groups(topic), group, position)

    def committed(self, topic: str, group: str) -> int:
        """What the group committed last, or `START`."""
        return int(self._ask("HGET", _groups(topic), group) or START)

    def trim(self, topic: str) -> None:
        """Forget what every group that ever committed has taken, in whole blocks of the server."""
        positions = [int(value) for value in self._ask("HVALS", _groups(topic))]
        if positions:
            self._ask("XTRIM", _stream(topic), "MINID", "~", _entry(min(positions) + 1))

    def close(self) -> None:
        """Give connections back."""
        self._client.close()
        if self._patient:
            self._patient[1].close()

    def _ask(self, *command: Any) -> Any:
        try:
            return self._client.execute_command(*command)  # type: ignore[no-untyped-call]
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise ConnectionError(str(error)) from error

    def _waiting(self, wait: float) -> redis.Redis:
        if wait <= 0:
            return self._client
        if self._patient is None or self._patient[0] < wait:
            self._patient = (wait, self._connected(self._timeout + wait))
        return self._patient[1]

    def _connected(self, timeout: float) -> redis.Redis:
        client = redis.Redis.from_url(
            self._url,
            socket_timeout=timeout,
            socket_connect_timeout=self._timeout,
            # An append that is tried again in silence would be there twice.
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        for command in ("XADD", "XREAD"):
            # Answers stay as the server gives them: parsing them into tuples doubles the cost.
            client.set_response_callback(command, lambda answer, **_: answer)
        return client


def _stream(topic: str) -> str:
    return f"agora:events:{topic}"


def _groups(topic: str) -> str:
    return f"agora:events:{topic}:groups"


def _position(entry: bytes) -> int:
    milliseconds, counter = entry.split(b"-")
    return int(milliseconds) << COUNTER_BITS | int(counter)


def _entry(position: int) -> str:
    return f"{position >> COUNTER_BITS}-{position & COUNTER}"


def _event(fields: list[bytes]) -> Event:
    return Event(fields[1].decode(), fields[5], int(fields[3]))
