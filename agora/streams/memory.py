"""What the stream knows without asking: the history of the horizon, and how to get at more.

An event that reaches further back than the horizon, and an entity whose held events were corrected
away, are looked up in the lake: rare, slow and exact.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.schema import TIME
from agora.streams.history import History, with_content
from agora.streams.models import moment

if TYPE_CHECKING:
    from agora.stores.lake import Lake
    from agora.streams.topics import Topic

SPARE = 2
"""Of an entity whose newest events are told, so many times as many are held: corrections may take
some away."""
# An entity's newest events are cut again when this many versions have come since.
FORGET_EVERY = 100_000
# Arrivals of one batch lie within it.
A_DAY = timedelta(days=1)


class Memory:
    """Events held in memory, backed by those of the lake.

    Args:
        lake: Where older events are: `stream/<topic>`, `marts/<topic>` and `raw/<topic>`.
        topic: Whose events.
        now: Arrival of the first event to be taken, in microseconds.
    """

    def __init__(self, lake: Lake, topic: Topic, now: int) -> None:
        self.history = History(topic)
        self.reloads = 0
        self._lake, self._topic = lake, topic
        self._since = now - microseconds(topic.horizon)
        self._added = 0
        entity, newest = topic.counted
        held = (
            f"true qualify event_at > timestamptz '{moment(self._since)}' or row_number() over "
            f"(partition by {entity} order by event_at desc, {topic.id} desc) <= {SPARE * newest}"
        )
        looked_back = now - microseconds(topic.looked_back)
        self.history.add(landed_and_streamed(lake, topic, held, since=looked_back))

    def add(self, rows: pl.DataFrame) -> None:
        """Take versions, in the order of their arrival."""
        self.history.add(rows)
        self._added += rows.height

    def versions(self, rows: pl.DataFrame) -> pl.DataFrame:
        """All known versions of the events of some rows."""
        late = rows.filter(pl.col("event_at").to_physical() <= self._since)
        if late.height:
            self._recall(late[self._topic.id].unique())
        return self.history.versions(rows[self._topic.id])

    def about(self, key: str, earliest: pl.DataFrame, longest: timedelta) -> pl.DataFrame:
        """What windows of some entities can see, and perhaps more.

        Args:
            key: Column of the entity's id.
            earliest: Per id, `event_at` in microseconds of the earliest event concerned: a
                window's end is never before it.
            longest: The longest window.
        """
        since = earliest["event_at"].to_numpy() - microseconds(longest)
        found = self.history.about(key, earliest[key], since)
        behind = since < self._since
        if not behind.any():
            return found
        ids = earliest[key].filter(pl.Series(behind))
        return self._with_older(found, key, ids, int(since.min()))

    def newest(self, key: str, earliest: pl.DataFrame, before: Any) -> pl.DataFrame:
        """The newest events of some entities, enough for any sequence that ends in the batch.

        Args:
            key: Column of the entity's id.
            earliest: Per id, `event_at` in microseconds of the earliest event concerned.
            before: Arrival of the batch's first event.
        """
        ids, (_, newest) = earliest[key], self._topic.counted
        found = self.history.about(key, ids)
        oldest = int(pl.Series([before]).to_physical()[0]) - microseconds(self._topic.looked_back)
        # What lies so far back is held no more, yet it may be the latest that is known.
        ancient = earliest.filter(pl.col("event_at") < oldest + microseconds(A_DAY))
        if ancient.height:
            found = self._with_older(found, key, ancient[key], int(ancient["event_at"].min()))  # type: ignore[arg-type]
        held = found.with_columns(
            ((pl.col("arrived_at") == pl.col("arrived_at").max().over(self._topic.id))
             & (pl.col("arrived_at") < before)).alias("stands")
        )  # fmt: skip
        counts = held.group_by(key).agg(pl.len().alias("rows"), pl.col("stands").sum())
        # Fewer rows than are held: nothing was cut. Else those that stand must suffice.
        short = counts.filter(pl.col("rows") >= SPARE * newest, pl.col("stands") < newest)
        short = short.filter(pl.col(key).is_in(ids.implode()))
        if short.is_empty():
            return found
        return self._with_older(found, key, short[key], oldest)

    def forget(self, now: int) -> None:
        """Let go what lies behind the horizon; the lake has it."""
        if self._added < FORGET_EVERY:
            return
        self._added = 0
        self._since = max(self._since, now - microseconds(self._topic.horizon))
        entity, newest = self._topic.counted
        oldest = now - microseconds(self._topic.looked_back)
        self.history.forget(self._since, oldest, entity, SPARE * newest)

    def _recall(self, ids: pl.Series) -> None:
        """Bring back versions of events that were made before the horizon."""
        self.reloads += 1
        key, held = self._topic.id, self.history.versions(ids)
        where = f"{key} in (select id from ids)"
        found = landed_and_streamed(self._lake, self._topic, where, ids)
        self.history.add(found.join(held, on=[key, "arrived_at"], how="anti"))

    def _with_older(
        self, found: pl.DataFrame, key: str, ids: pl.Series, since: int
    ) -> pl.DataFrame:
        self.reloads += 1
        where = f"{key} in (select id from ids)"
        older = landed_and_streamed(self._lake, self._topic, where, ids, since)
        return pl.concat([found, older.select(found.columns)]).unique(
            [self._topic.id, "arrived_at"], keep="first"
        )


def landed_and_streamed(
    lake: Lake, topic: Topic, where: str, ids: pl.Series | None = None, since: int | None = None
) -> pl.DataFrame:
    """Events of the lake with every version of each: those that landed and those streamed.

    Args:
        lake: Where from.
        topic: Whose.
        where: Condition on a version's columns.
        ids: What the condition reads as `ids`.
        since: Only those made after it, in microseconds.
    """
    # What was streamed and has landed since stands in both; the stream's row has the event's key.
    # Raw knows what was ingested since the mart was built.
    sources = {"stream": "event_key", "marts": topic.id, "raw": topic.id}
    columns = ", ".join(topic.table.names)
    parts = [
        f"select {columns}, {key} as event_key, arrival_date, {rank} as rank "
        f"from {layer}.{topic.name}"
        + (f" where arrival_date >= date '{_built(lake, topic)}'" if layer == "raw" else "")
        for rank, (layer, key) in enumerate(sources.items())
        if lake.exists(f"{layer}/{topic.name}")
    ]
    if not parts:
        return topic.nothing
    # An event is at most a day ahead of its arrival.
    recent = f"arrival_date >= date '{moment(since).date()}' - 1" if since is not None else "true"
    sql = (
        f"with every as (select * from ({' union all '.join(parts)}) where {recent} "
        f"qualify row_number() over (partition by {topic.id}, arrived_at order by rank) = 1), "
        f"wanted as (select {topic.id} from every where {where}) "
        f"select * exclude (arrival_date, rank) from every "
        f"where {topic.id} in (select {topic.id} from wanted) order by arrived_at"
    )
    named = {"ids": pl.DataFrame({"id": ids})} if ids is not None else {}
    found = lake.query(sql, **named).cast({"event_at": TIME, "arrived_at": TIME})
    return with_content(found, topic).select(topic.columns)


def _built(lake: Lake, topic: Topic) -> str:
    """The last day of the mart, which may not have been over."""
    mart = f"marts/{topic.name}"
    days = lake.table(mart).partitions() if lake.exists(mart) else []
    return max((str(day["arrival_date"]) for day in days), default="1970-01-01")


def microseconds(length: timedelta) -> int:
    """A length of time as the stream counts it."""
    return int(np.round(length.total_seconds() * 1e6))
