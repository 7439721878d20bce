"""From events to rows: decoded, stamped, held against the landing contract, each version once.

What does not hold goes to quarantine with its reasons, as rows of landed files do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from agora.ingest.rejects import QUARANTINE
from agora.schema import TIME, schema_of
from agora.streams.history import with_content
from agora.streams.topics import AHEAD
from agora.validation import validate

if TYPE_CHECKING:
    from agora.stores.events import Batch
    from agora.streams.memory import Memory
    from agora.streams.topics import Topic

AGAIN = timedelta(hours=24)
"""How long a version is remembered to tell a repeated event from a new one."""
REFUSED: dict[str, pl.DataType] = {"row_number": pl.Int64(), "reasons": pl.List(pl.String())}
OBJECT = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True)
class Intake:
    """What a batch of events holds.

    Attributes:
        accepted: Contract columns, then `position`, `event_key` and `content`; by arrival.
        rejected: Rows of quarantine; `row_number` is the position.
        duplicates: Events that said again what is known.
        position: Position of the last event.
        watermark: Arrival of the last event: microseconds; later ones arrive after it.
    """

    accepted: pl.DataFrame
    rejected: pl.DataFrame
    duplicates: int
    position: int
    watermark: int


def take(batch: Batch, topic: Topic, memory: Memory, watermark: int) -> Intake:
    """Make rows of a batch that is not empty.

    The same events behind the same memory give the same rows: a batch may be taken again.

    Args:
        batch: The events.
        topic: Where they were read, and their contract.
        memory: What was taken before.
        watermark: Arrival of the last event taken before.
    """
    arrived = stamps(batch.arrived_at, watermark)
    events = pl.DataFrame(
        {
            "row_number": np.arange(1, len(batch) + 1),
            "position": batch.positions,
            "event_key": [event.key for event in batch.events],
            "arrived_at": pl.Series(arrived).cast(TIME),
            "payload": [event.payload.decode("utf-8", "replace") for event in batch.events],
        }
    )
    rows, broken = _decoded([event.payload for event in batch.events], topic.said)
    stamped = rows.join(
        events.select("row_number", "arrived_at"), on="row_number", maintain_order="left"
    )
    verdict = validate(stamped, topic.table)
    ahead = pl.col("event_at") > pl.col("arrived_at") + AHEAD
    early = verdict.accepted.filter(ahead)
    minutes = int(AHEAD.total_seconds()) // 60
    skewed = f"event_at: is more than {minutes} minutes ahead of the log's clock"
    bad = pl.concat(
        [
            broken,
            verdict.rejected.select("row_number", "reasons"),
            early.select("row_number", pl.lit([skewed]).alias("reasons")),
        ]
    )
    good = verdict.accepted.filter(~ahead).join(
        events.select("row_number", "position", "event_key"), on="row_number", maintain_order="left"
    )
    good = with_content(good, topic)
    fresh = _once(good, memory.versions(good), topic.id)
    return Intake(
        accepted=fresh.select(*schema_of(topic.table), "position", "event_key", "content"),
        rejected=_quarantined(bad, events, topic.name),
        duplicates=good.height - fresh.height,
        position=batch.positions[-1],
        watermark=int(arrived[-1]),
    )


def stamps(arrived_at: list[int], watermark: int) -> np.ndarray[Any, Any]:
    """Arrivals that increase from event to event, whatever the log's clock did.

    A moment of an entity is named by its arrival: what comes later must not share it.
    """
    steps = np.arange(len(arrived_at))
    raised = np.concatenate([[watermark + 1], np.asarray(arrived_at, dtype=np.int64) - steps])
    stamped: np.ndarray[Any, Any] = np.maximum.accumulate(raised)[1:] + steps
    return stamped


def _decoded(payloads: list[bytes], names: tuple[str, ...]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows as text, as those of a landed file of JSON lines, and what is no JSON object."""
    rows: list[dict[str, Any]] = []
    numbers, broken = [], []
    for number, payload in enumerate(payloads, 1):
        try:
            rows.append(OBJECT.decode(payload))
            numbers.append(number)
        except (msgspec.DecodeError, UnicodeDecodeError):
            broken.append(number)
    columns = {
        name: [
            value if (value := row.get(name)) is None or type(value) is str else _text(value)
            for row in rows
        ]
        for name in names
    }
    said = [["line: is not a JSON object"]] * len(broken)
    schema: dict[str, pl.DataType] = {"row_number": pl.Int64()}
    schema.update(dict.fromkeys(names, pl.String()))
    return (
        pl.DataFrame({"row_number": numbers, **columns}, schema=schema),
        pl.DataFrame({"row_number": broken, "reasons": said}, schema=REFUSED),
    )


def _text(value: Any) -> str:
    """A value as contracts read it: all columns of a text format are text."""
    return msgspec.json.encode(value).decode()


def _once(rows: pl.DataFrame, known: pl.DataFrame, key: str) -> pl.DataFrame:
    """Rows that say something new: the same key and content within a day is the same event."""
    said = [key, "content"]
    every = pl.concat([known.select(*said, "arrived_at"), rows.select(*said, "arrived_at")]).sort(
        "arrived_at"
    )
    again = every.with_columns(
        (pl.col("arrived_at") - pl.col("arrived_at").shift().over(said) < AGAIN).alias("again")
    ).filter("again")
    return rows.join(again, on=[*said, "arrived_at"], how="anti", maintain_order="left")


def _quarantined(bad: pl.DataFrame, events: pl.DataFrame, topic: str) -> pl.DataFrame:
    reasons = bad.group_by("row_number").agg(pl.col("reasons").explode())
    rows = reasons.join(events, on="row_number").sort("row_number")
    return rows.select(
        pl.col("arrived_at").dt.date().alias("arrival_date"),
        pl.lit(f"events/{topic}").alias("source_file"),
        pl.col("position").alias("row_number"),
        "reasons",
        "payload",
    ).cast(pl.Schema(QUARANTINE))
