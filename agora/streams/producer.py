"""Rows as events: what a producer sends to a topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import polars as pl

from agora.stores.events import START, Event, open_events
from agora.streams.topics import PAYMENT_EVENTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from agora.settings import Settings
    from agora.stores.events import EventStore
    from agora.streams.topics import Topic

BLOCK = 10_000


def produce(
    settings: Settings,
    frame: pl.DataFrame,
    events: EventStore | None = None,
    topic: Topic = PAYMENT_EVENTS,
) -> int:
    """Append rows to a topic in the frame's order; returns the last one's position.

    Args:
        settings: Where the events are.
        frame: Columns of the landing contract; `arrived_at` is the log's to say.
        events: An open store; one is opened for the call otherwise.
        topic: Whose rows they are.
    """
    store = events or open_events(settings)
    try:
        position = START
        for start in range(0, frame.height, BLOCK):
            position = store.append(topic.name, events_of(frame[start : start + BLOCK], topic))
        return position
    finally:
        if events is None:
            store.close()


def events_of(frame: pl.DataFrame, topic: Topic = PAYMENT_EVENTS) -> list[Event]:
    """Rows of a frame as events, in its order."""
    said = frame.select(name for name in topic.said if name in frame.columns)
    texts = said.with_columns(
        pl.col("event_at").dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    )
    payloads = texts.select(pl.struct(pl.all()).struct.json_encode()).to_series()
    return [
        Event(key, payload.encode(), at)
        for key, payload, at in zip(
            frame[topic.id], payloads, frame["event_at"].to_physical(), strict=True
        )
    ]


def payment_event(request: Mapping[str, Any]) -> Event:
    """A scored request as an event: what it says of the payment, and nothing else.

    Args:
        request: The request's fields, `event_at` as a datetime.
    """
    said = PAYMENT_EVENTS.said
    payload = {name: request[name] for name in said if request.get(name) is not None}
    at = round(payload["event_at"].timestamp() * 1e6)
    return Event(str(payload["payment_id"]), msgspec.json.encode(payload), at)
