"""The events store on a broker that speaks Kafka's protocol: `kafka://host:port[/prefix]`.

A topic has one partition, since positions are one order. The time of arrival is the broker's where
the topic keeps `LogAppendTime`, as those made here do. How long events are kept is the broker's.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agora.stores.events import START, Batch, Event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Readers keep their positions themselves; the client wants a name all the same.
GROUP = "agora-readers"
# A fetch takes a moment: without it a read that does not wait would find nothing.
SETTLE_SECONDS = 0.2
# confluent_kafka.KafkaError._PARTITION_EOF: not an error, the end of what there is.
PARTITION_EOF = -191


@dataclass
class _Reader:
    """A client placed in a topic.

    Attributes:
        client: The consumer.
        at: Position up to which it has read; -1 before it is placed.
        at_end: Whether the broker said that nothing follows.
    """

    client: Any
    at: int = -1
    at_end: bool = False


class KafkaEventStore:
    """The events store on a Kafka cluster.

    `append` waits for the broker's word: a service calls it from a thread, not from its loop.

    Args:
        url: kafka://host:port[,host:port...][/prefix]; the prefix stands before topics' names.
        timeout: Seconds after which an answer is given up.
    """

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        from confluent_kafka import Producer

        parts = urlsplit(url)
        self._timeout = timeout
        self._prefix = f"{parts.path.strip('/')}." if parts.path.strip("/") else ""
        self._servers: dict[str, str | int | float | bool] = {
            "bootstrap.servers": parts.netloc,
            "log_level": 2,
        }
        self._producer = Producer(
            {**self._servers, "acks": "all", "enable.idempotence": True, "linger.ms": 1,
             "message.timeout.ms": int(timeout * 1000)}
        )  # fmt: skip
        self._readers: dict[str, _Reader] = {}
        self._members: dict[str, Any] = {}
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def append(self, topic: str, events: Sequence[Event]) -> int:
        """Add events in order; returns the last one's position once the brokers have them all."""
        from confluent_kafka import KafkaException

        name = self._ready(topic)
        offsets: list[int] = []
        errors: list[str] = []

        def told(error: Any, message: Any) -> None:
            if error:
                errors.append(str(error))
            else:
                offsets.append(message.offset())

        try:
            for event in events:
                self._produce(name, event, told)
            unsent = self._producer.flush(self._timeout)
        except KafkaException as error:
            raise ConnectionError(str(error)) from error
        if errors or unsent:
            raise ConnectionError(f"{name}: {[*errors, f'{unsent} not acknowledged'][0]}")
        return max(offsets, default=START - 1) + 1

    def read(self, topic: str, after: int, limit: int = 5_000, wait: float = 0.0) -> Batch:
        """The next events above a position, at most `limit`."""
        name = self._ready(topic)
        with self._lock:
            found = self._consume(self._reader(name, after), limit, wait)
        return Batch(
            positions=[message.offset() + 1 for message in found],
            arrived_at=[message.timestamp()[1] * 1000 for message in found],
            events=[_event(message) for message in found],
        )

    def commit(self, topic: str, group: str, position: int) -> None:
        """Commit the group's offset, where the cluster's own tools show it."""
        from confluent_kafka import TopicPartition

        name = self._ready(topic)
        self._asked(lambda: self._member(group).commit(
            offsets=[TopicPartition(name, 0, position)], asynchronous=False
        ))  # fmt: skip

    def committed(self, topic: str, group: str) -> int:
        """What the group committed last, or `START`."""
        from confluent_kafka import TopicPartition

        name = self._ready(topic)
        (found,) = self._asked(
            lambda: self._member(group).committed([TopicPartition(name, 0)], self._timeout)
        )
        return max(int(found.offset), START)

    def trim(self, topic: str) -> None:
        """Nothing: the topic's retention says how long the brokers keep it."""

    def close(self) -> None:
        """Give connections back."""
        self._producer.flush(self._timeout)
        with self._lock:
            for reader in self._readers.values():
                reader.client.close()
            self._readers.clear()
            for member in self._members.values():
                member.close()
            self._members.clear()

    def _produce(self, name: str, event: Event, told: Any) -> None:
        headers: list[tuple[str, str | bytes | None]] = [("event_at", str(event.event_at))]
        while True:
            try:
                self._producer.produce(
                    name, event.payload, event.key.encode(), 0, told, headers=headers
                )
                return
            except BufferError:
                # The client's queue is full: let it send.
                self._producer.poll(0.05)

    def _consume(self, reader: _Reader, limit: int, wait: float) -> list[Any]:
        began = time.monotonic()
        # Until the broker has said that this is the end, events may be on their way.
        longest = max(wait, SETTLE_SECONDS) if reader.at_end else wait + self._timeout
        found: list[Any] = []
        while not found and (left := began + longest - time.monotonic()) > 0:
            if (first := reader.client.poll(left)) is None:
                break
            for message in (first, *reader.client.consume(limit - 1, 0)):
                if not message.error():
                    found.append(message)
                elif message.error().code() != PARTITION_EOF:
                    raise ConnectionError(str(message.error()))
                else:
                    reader.at_end, longest = True, max(wait, 0.0)
        if found:
            reader.at, reader.at_end = found[-1].offset() + 1, False
        return found

    def _reader(self, name: str, after: int) -> _Reader:
        """A reader that stands behind the position."""
        from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

        reader = self._readers.get(name)
        if reader is None:
            client = Consumer(
                {**self._servers, "group.id": GROUP, "enable.auto.commit": False,
                 "auto.offset.reset": "error", "enable.partition.eof": True,
                 "fetch.wait.max.ms": 50}
            )  # fmt: skip
            reader = self._readers[name] = _Reader(client)
        if reader.at != after:
            # The beginning is what the broker still keeps; any other position must be there.
            offset = OFFSET_BEGINNING if after == START else after
            reader.client.assign([TopicPartition(name, 0, offset)])
            reader.at, reader.at_end = after, False
        return reader

    def _member(self, group: str) -> Any:
        from confluent_kafka import Consumer

        if group not in self._members:
            self._members[group] = Consumer(
                {**self._servers, "group.id": group, "enable.auto.commit": False}
            )
        return self._members[group]

    def _ready(self, topic: str) -> str:
        """The topic's name at the brokers; it is made if it is not there.

        Raises:
            ValueError: The topic has several partitions.
        """
        name = self._prefix + topic
        if name not in self._known:
            self._asked(lambda: self._create(name))
            self._known.add(name)
        return name

    def _create(self, name: str) -> None:
        from confluent_kafka import KafkaError, KafkaException
        from confluent_kafka.admin import (  # type: ignore[attr-defined]
            AdminClient,
            NewTopic,
        )

        admin = AdminClient(self._servers)
        new = NewTopic(name, 1, -1, config={"message.timestamp.type": "LogAppendTime"})
        try:
            admin.create_topics([new], operation_timeout=self._timeout)[name].result(self._timeout)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
        partitions = len(admin.list_topics(name, self._timeout).topics[name].partitions)
        if partitions > 1:
            raise ValueError(f"{name} has {partitions} partitions: events need one order, use one")

    def _asked(self, ask: Callable[[], Any]) -> Any:
        from confluent_kafka import KafkaException

        try:
            return ask()
        except (KafkaException, FutureTimeout) as error:
            raise ConnectionError(str(error)) from error


def _event(message: Any) -> Event:
    """An event; one of a producer that says no time happened when it was sent."""
    said = dict(message.headers() or []).get("event_at")
    at = int(said) if said else message.timestamp()[1] * 1000
    return Event((message.key() or b"").decode(), message.value() or b"", at)
