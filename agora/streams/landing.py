"""From a topic to landing files, so that batch and stream share one source.

A file is named by the positions that it holds, written whole and then renamed: what has landed is
said by the names alone, and a kill at any point leaves no row out and none twice.
"""

from __future__ import annotations

import io
import json
import os
import re
from typing import TYPE_CHECKING, Any

import polars as pl

from agora.stores.events import START, open_events
from agora.stores.lake import Lake
from agora.stores.landing import Landing
from agora.streams.models import moment

if TYPE_CHECKING:
    from agora.schema import Table
    from agora.settings import Settings
    from agora.stores.events import Batch

GROUP = "landing"
READ_EVENTS = 20_000
NAME = re.compile(r"^stream-(?P<topic>.+)-(?P<first>\d+)-(?P<last>\d+)\.(jsonl|parquet)$")


def land(settings: Settings, topic: str, table: Table) -> int:
    """Land what came since the last call; returns the rows landed.

    A topic that the runner takes lands from its table, each version once; any other from its log,
    as it stands: ingestion says what does not hold. Two that land at once may land a row twice,
    value by value, which ingestion takes once.

    Args:
        settings: Where events, lake and landing are.
        topic: What to land.
        table: Where to: `landing/<table>/dt=<day of arrival>/`.
    """
    place = Landing.at(settings.landing)
    lake = Lake(settings.lake, settings.lake_options)
    after = landed_up_to(place, topic, table)
    if lake.exists(f"stream/{topic}"):
        return _land_taken(lake, place, topic, table, after)
    return _land_log(settings, place, topic, table, after)


def landed_up_to(place: Landing, topic: str, table: Table) -> int:
    """Position of the last event that has landed, or `START`."""
    for day in reversed(place.days(table.name)):
        matches = [
            NAME.match(file.path.rpartition("/")[2]) for file in place.files(table.name, day)
        ]
        found = [int(match["last"]) for match in matches if match and match["topic"] == topic]
        if found:
            return max(found)
    return START


def _land_taken(lake: Lake, place: Landing, topic: str, table: Table, after: int) -> int:
    rows = lake.read(f"stream/{topic}", [*table.names, "arrival_date", "position"],
                     f"position > {after}").sort("position")  # fmt: skip
    for (day,), part in rows.group_by("arrival_date", maintain_order=True):
        held = io.BytesIO()
        part.select(table.names).write_parquet(held)
        _drop(place, topic, table, day, part["position"], "parquet", held.getvalue())
    return rows.height


def _land_log(settings: Settings, place: Landing, topic: str, table: Table, after: int) -> int:
    events, landed = open_events(settings), 0
    try:
        # Files may have been cleared away since.
        after = max(after, events.committed(topic, GROUP))
        while batch := events.read(topic, after, READ_EVENTS):
            arrived = pl.Series(batch.arrived_at).cast(pl.Datetime("us"))
            lines = pl.DataFrame(
                {"line": _lines(batch), "position": batch.positions, "day": arrived.dt.date()}
            )
            for (day,), part in lines.group_by("day", maintain_order=True):
                text = "\n".join(part["line"]) + "\n"
                _drop(place, topic, table, day, part["position"], "jsonl", text.encode())
            after = batch.positions[-1]
            events.commit(topic, GROUP, after)
            landed += len(batch)
        events.trim(topic)
        return landed
    finally:
        events.close()


def _lines(batch: Batch) -> list[str]:
    """One line an event; `arrived_at` is the log's, `event_at` the event's own where it says so."""
    return [
        _line(event.payload, event.event_at, arrived)
        for event, arrived in zip(batch.events, batch.arrived_at, strict=True)
    ]


def _line(payload: bytes, event_at: int, arrived_at: int) -> str:
    text = payload.decode("utf-8", "replace").replace("\n", " ")
    try:
        row = json.loads(text)
    except ValueError:
        return text
    if not isinstance(row, dict):
        return text
    times = {"event_at": row.get("event_at") or moment(event_at).isoformat(),
             "arrived_at": moment(arrived_at).isoformat()}  # fmt: skip
    return json.dumps({**row, **times}, ensure_ascii=False)


def _drop(
    place: Landing,
    topic: str,
    table: Table,
    day: Any,
    positions: pl.Series,
    ending: str,
    data: bytes,
) -> None:
    folder = f"{place.root}/{table.name}/dt={day}"
    name = f"stream-{topic}-{positions[0]:020d}-{positions[-1]:020d}.{ending}"
    place.filesystem.create_dir(folder)
    unfinished = f"{folder}/.{name}.{os.getpid()}.tmp"
    with place.filesystem.open_output_stream(unfinished) as out:
        out.write(data)
    place.filesystem.move(unfinished, f"{folder}/{name}")
