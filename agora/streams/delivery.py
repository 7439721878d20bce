"""From a service's inbox to the platform: into the log of a streamed topic, or into landing files.

A table is delivered by one way at a time, or its rows would arrive twice. Its log is that way while
`agora stream` takes it there, and for an hour after: a restart loses no click, and a stream that
was given up holds back no label.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agora.stores.events import Event, open_events
from agora.stores.lake import Lake
from agora.streams.topics import TOPICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.settings import Settings
    from agora.stores.events import EventStore
    from agora.stores.outcome_inbox import OutcomeInbox

GRACE = timedelta(hours=1)
LOOK_SECONDS = 2.0


def streamed(settings: Settings) -> frozenset[str]:
    """Tables that the log delivers: their stream has committed within the hour."""
    lake = Lake(settings.lake, settings.lake_options)
    return frozenset(name for name in TOPICS if _is_alive(lake, f"stream/{name}"))


def _is_alive(lake: Lake, table: str) -> bool:
    if not lake.exists(table):
        return False
    committed = lake.table(table).history(1)[0]["timestamp"]
    return bool(datetime.now(UTC) - datetime.fromtimestamp(committed / 1e3, UTC) < GRACE)


class Delivery:
    """Takes what waits in an inbox to where it belongs.

    Args:
        inbox: What was acknowledged.
        settings: Where log, lake and landing are.
    """

    def __init__(self, inbox: OutcomeInbox, settings: Settings) -> None:
        self._inbox, self._settings = inbox, settings
        self._events: EventStore | None = None
        self._looked: float | None = None
        self.streamed: frozenset[str] = frozenset()
        """Tables that go into the log, as was seen last."""

    def deliver(self) -> int:
        """Deliver what waits; returns the rows delivered.

        Raises:
            ConnectionError: The log does not answer: what is streamed waits.
        """
        apart = self._look()
        delivered = self._inbox.flush(self._settings.landing, besides=apart)
        for table in sorted(apart):
            delivered += self._inbox.send(table, self._append)
        return delivered

    def _look(self) -> frozenset[str]:
        now, last = time.monotonic(), self._looked
        if last is None or now - last > LOOK_SECONDS:
            self.streamed, self._looked = streamed(self._settings), now
        if last is None and self.streamed:
            # The log's machine may have stopped within its last second; repeats are taken once.
            self._inbox.send_again()
        return self.streamed

    def close(self) -> None:
        """Give the connection back."""
        if self._events is not None:
            self._events.close()
            self._events = None

    def _append(self, table: str, rows: Sequence[dict[str, Any]]) -> None:
        key = TOPICS[table].id
        said = TOPICS[table].said
        events = [
            Event(
                row[key],
                json.dumps({name: row[name] for name in said if name in row}).encode(),
                round(datetime.fromisoformat(row["event_at"]).timestamp() * 1e6),
            )
            for row in rows
        ]
        try:
            self._events = self._events or open_events(self._settings)
            self._events.append(table, events)
        except ConnectionError:
            # An embedded server that is started again listens elsewhere.
            self.close()
            raise
