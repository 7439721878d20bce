"""What the stream knows without asking: the history of the horizon, and how to get at more.

The horizon is the longest window and the hour by which events are late. An event that reaches
further back, and a card whose held payments were corrected away, are looked up in the lake: rare,
slow and exact.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.streams.history import EMPTY, History, with_content
from agora.streams.models import moment
from agora.tables import PAYMENTS

if TYPE_CHECKING:
    from agora.stores.lake import Lake

HORIZON = timedelta(hours=26)
"""How far back payments are held: 24 hours of windows, an hour of lateness and one to spare."""
SEQUENCE = 16
"""Payments of a card that a set looks back at, however old they are."""
NEWEST = 2 * SEQUENCE
"""Payments of a card that are held however old they are: corrections may take some away."""
LOOKED_BACK = timedelta(days=62)
"""No set looks further back."""
# A card's newest payments are cut again when this many versions have come since.
FORGET_EVERY = 100_000


class Memory:
    """Payments held in memory, backed by those of the lake.

    Args:
        lake: Where older payments are: `stream/payments` and `marts/payments`.
        now: Arrival of the first event to be taken, in microseconds.
    """

    def __init__(self, lake: Lake, now: int) -> None:
        self.history = History()
        self.reloads = 0
        self._lake = lake
        self._since = now - microseconds(HORIZON)
        self._added = 0
        looked_back = now - microseconds(LOOKED_BACK)
        held = (
            f"true qualify event_at > timestamptz '{moment(self._since)}' or row_number() over "
            f"(partition by card_id order by event_at desc, payment_id desc) <= {NEWEST}"
        )
        self.history.add(payments(lake, held, since=looked_back))

    def add(self, rows: pl.DataFrame) -> None:
        """Take versions, in the order of their arrival."""
        self.history.add(rows)
        self._added += rows.height

    def versions(self, rows: pl.DataFrame) -> pl.DataFrame:
        """All known versions of the payments of some rows."""
        late = rows.filter(pl.col("event_at").to_physical() <= self._since)
        if late.height:
            self._recall(late["payment_id"].unique())
        return self.history.versions(rows["payment_id"])

    def about(self, key: str, earliest: pl.DataFrame, longest: timedelta) -> pl.DataFrame:
        """What windows of some entities can see, and perhaps more.

        Args:
            key: Column of the entity's id.
            earliest: Per id, `event_at` in microseconds of the earliest payment concerned: a
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

    def newest(self, key: str, ids: pl.Series, before: Any) -> pl.DataFrame:
        """The newest payments of some cards, enough for any sequence that ends in the batch.

        Args:
            key: Column of the card's id.
            ids: The cards, each once.
            before: Arrival of the batch's first event.
        """
        found = self.history.about(key, ids)
        held = found.with_columns(
            ((pl.col("arrived_at") == pl.col("arrived_at").max().over("payment_id"))
             & (pl.col("arrived_at") < before)).alias("stands")
        )  # fmt: skip
        counts = held.group_by(key).agg(pl.len().alias("rows"), pl.col("stands").sum())
        # Fewer rows than are kept: nothing was cut. Else those that stand must suffice.
        short = counts.filter((pl.col("rows") >= NEWEST) & (pl.col("stands") < SEQUENCE))
        short = short.filter(pl.col(key).is_in(ids.implode()))
        if short.is_empty():
            return found
        at = int(pl.Series([before]).to_physical()[0]) - microseconds(LOOKED_BACK)
        return self._with_older(found, key, short[key], at)

    def forget(self, now: int) -> None:
        """Let go what lies behind the horizon; the lake has it."""
        if self._added < FORGET_EVERY:
            return
        self._added = 0
        self._since = max(self._since, now - microseconds(HORIZON))
        self.history.forget(self._since, now - microseconds(LOOKED_BACK), NEWEST)

    def _recall(self, payment_ids: pl.Series) -> None:
        """Bring back versions of payments that were made before the horizon."""
        self.reloads += 1
        held = self.history.versions(payment_ids)
        found = payments(self._lake, "payment_id in (select id from ids)", payment_ids)
        self.history.add(found.join(held, on=["payment_id", "arrived_at"], how="anti"))

    def _with_older(
        self, found: pl.DataFrame, key: str, ids: pl.Series, since: int
    ) -> pl.DataFrame:
        self.reloads += 1
        older = payments(self._lake, f"{key} in (select id from ids)", ids, since)
        return pl.concat([found, older.select(found.columns)]).unique(
            ["payment_id", "arrived_at"], keep="first"
        )


def payments(
    lake: Lake, where: str, ids: pl.Series | None = None, since: int | None = None
) -> pl.DataFrame:
    """Payments of the lake with every version of each: those that landed and those streamed.

    Args:
        lake: Where from.
        where: Condition on a version's columns.
        ids: What the condition reads as `ids`.
        since: Only those made after it, in microseconds.
    """
    # What was streamed and has landed since stands in both; the stream's row has the event's key.
    sources = {"stream.payments": "event_key", "marts.payments": "payment_id"}
    columns = ", ".join(PAYMENTS.names)
    parts = [
        f"select {columns}, {key} as event_key, arrival_date, {rank} as rank from {table}"
        for rank, (table, key) in enumerate(sources.items())
        if lake.exists(table.replace(".", "/"))
    ]
    if not parts:
        return EMPTY
    # An event is at most a day ahead of its arrival.
    recent = f"arrival_date >= date '{moment(since).date()}' - 1" if since is not None else "true"
    sql = (
        f"with every as (select * from ({' union all '.join(parts)}) where {recent} "
        "qualify row_number() over (partition by payment_id, arrived_at order by rank) = 1), "
        f"wanted as (select payment_id from every where {where}) "
        "select * exclude (arrival_date, rank) from every "
        "where payment_id in (select payment_id from wanted) order by arrived_at"
    )
    named = {"ids": pl.DataFrame({"id": ids})} if ids is not None else {}
    found = lake.query(sql, **named).cast({"event_at": TIME, "arrived_at": TIME})
    return with_content(found).select(EMPTY.columns)


TIME = pl.Datetime("us", "UTC")


def microseconds(length: timedelta) -> int:
    """A length of time as the stream counts it."""
    return int(np.round(length.total_seconds() * 1e6))
