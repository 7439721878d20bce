"""From events to rows: decoded, stamped, held against the landing contract, each version once.

What does not hold goes to quarantine with its reasons, as rows of landed files do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from agora.ingest.rejects import QUARANTINE
from agora.schema import schema_of
from agora.stores.landed_rows import UnreadableFileError, read_slices
from agora.streams.history import with_content
from agora.validation import validate

if TYPE_CHECKING:
    from agora.schema import Table
    from agora.stores.events import Batch
    from agora.streams.memory import Memory

TIME = pl.Datetime("us", "UTC")
AHEAD = timedelta(minutes=5)
"""How far a producer's clock may be ahead of the log's. An event further ahead would stand for the
newest of its card, and its windows, until that time comes."""
AGAIN = timedelta(hours=24)
"""How long a version is remembered to tell a repeated event from a new one."""
LINES = "events.jsonl"


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


def take(batch: Batch, table: Table, memory: Memory, watermark: int, topic: str) -> Intake:
    """Make rows of a batch that is not empty.

    The same events behind the same memory give the same rows: a batch may be taken again.

    Args:
        batch: The events.
        table: Their contract.
        memory: What was taken before.
        watermark: Arrival of the last event taken before.
        topic: Where they were read, for quarantine.
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
    rows, broken = _decoded([event.payload for event in batch.events])
    blank = events.filter(
        ~pl.col("row_number").is_in([*rows["row_number"], *broken["row_number"]])
    ).select("row_number", pl.lit(["line: is empty"]).alias("reasons"))
    stamped = rows.drop("arrived_at", strict=False).join(
        events.select("row_number", "arrived_at"), on="row_number", maintain_order="left"
    )
    verdict = validate(stamped, table)
    ahead = pl.col("event_at") > pl.col("arrived_at") + AHEAD
    early = verdict.accepted.filter(ahead)
    minutes = int(AHEAD.total_seconds()) // 60
    said = f"event_at: is more than {minutes} minutes ahead of the log's clock"
    bad = pl.concat(
        [
            broken.select("row_number", "reasons"),
            blank,
            verdict.rejected.select("row_number", "reasons"),
            early.select("row_number", pl.lit([said]).alias("reasons")),
        ]
    )
    good = verdict.accepted.filter(~ahead).join(
        events.select("row_number", "position", "event_key"), on="row_number", maintain_order="left"
    )
    good = with_content(good)
    fresh = _once(good, memory.versions(good))
    return Intake(
        accepted=fresh.select(*schema_of(table), "position", "event_key", "content"),
        rejected=_quarantined(bad, events, topic),
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


def _decoded(payloads: list[bytes]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows, and lines that are none, as the same lines in a landed file would be read."""
    try:
        # The first line keeps the reader from guessing at what the first event looks like.
        lines = b"{}\n" + b"\n".join(payload.replace(b"\n", b" ") for payload in payloads)
        parts = list(read_slices(lambda: pa.BufferReader(lines), LINES))
    except UnreadableFileError as error:
        if len(payloads) == 1:
            said = str(error).removeprefix(f"{LINES}: ")
            refused = {"row_number": [1], "reasons": [[f"line: {said}"]], "payload": [""]}
            return pl.DataFrame(schema={"row_number": pl.Int64}), pl.DataFrame(refused)
        # One event must not spoil the others.
        half = len(payloads) // 2
        before, after = _decoded(payloads[:half]), _decoded(payloads[half:])
        moved = [part.with_columns(pl.col("row_number") + half) for part in after]
        return (
            pl.concat([before[0], moved[0]], how="diagonal"),
            pl.concat([before[1], moved[1]]),
        )
    number = pl.col("row_number") - 1
    rows = pl.concat([part.rows for part in parts], how="diagonal")
    broken = pl.concat([part.broken for part in parts])
    return (
        rows.with_columns(number).filter(pl.col("row_number") > 0),
        broken.with_columns(number).filter(pl.col("row_number") > 0),
    )


def _once(rows: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Rows that say something new: the same key and content within a day is the same event."""
    said = ["payment_id", "content"]
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
