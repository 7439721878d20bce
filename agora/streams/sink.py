"""Appends to a Delta table that know how far the stream was: rows and position in one commit.

After a kill the same events come again, and what a table has already is left out. A second process
that works on the same topic is told: its commit is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError

if TYPE_CHECKING:
    from datetime import date

    import polars as pl
    import pyarrow as pa

    from agora.stores.lake import Lake

RETRIES = 15
# Commits of a few rows each: Delta's log and the readers' file lists would grow without end.
COMPACT_EVERY = 60
LOG_KEPT = {"delta.logRetentionDuration": "interval 7 days", "delta.checkpointInterval": "50"}


class OvertakenError(RuntimeError):
    """Another process has taken the same events."""


@dataclass
class Sink:
    """One table of a stream.

    Attributes:
        lake: Where it is.
        table: `<layer>/<table>`, partitioned by `day`.
        schema: Its columns.
        day: Column of the arrival day.
        topic: Names the stream in the table's log.
    """

    lake: Lake
    table: str
    schema: pa.Schema
    day: str
    topic: str
    commits: int = 0
    _delta: DeltaTable = field(init=False)

    def __post_init__(self) -> None:
        if not self.lake.exists(self.table):
            DeltaTable.create(
                self.lake.uri(self.table), self.schema, mode="ignore", partition_by=[self.day],
                storage_options=self.lake.options, configuration=LOG_KEPT,
                commit_properties=CommitProperties(max_commit_retries=0),
            )  # fmt: skip
        self._delta = self.lake.table(self.table)

    @property
    def position(self) -> int:
        """Position of the last event whose rows the table has."""
        return self._delta.transaction_version(self.topic) or 0

    @property
    def watermark(self) -> int:
        """Arrival of that event, in microseconds."""
        return self._delta.transaction_version(self._arrival) or 0

    @property
    def _overtaken(self) -> str:
        return f"{self.table}: another process appends the events of {self.topic}"

    @property
    def _arrival(self) -> str:
        return f"{self.topic}/arrived_at"

    def append(self, rows: pl.DataFrame, position: int, watermark: int) -> None:
        """Add rows and move to a position, both or neither.

        Raises:
            OvertakenError: Another process has moved the position.
        """
        # A table that was read anew since shows it; one that was not, at the commit.
        if self.position > position:
            raise OvertakenError(self._overtaken)
        try:
            write_deltalake(
                self._delta,
                rows.to_arrow().cast(self.schema),
                mode="append",
                commit_properties=CommitProperties(
                    custom_metadata={"topic": self.topic, "position": str(position)},
                    app_transactions=[
                        Transaction(self.topic, position),
                        Transaction(self._arrival, watermark),
                    ],
                    max_commit_retries=RETRIES,
                ),
            )
        except CommitFailedError as error:
            if "concurrent transaction" in str(error).lower():
                raise OvertakenError(self._overtaken) from error
            raise
        self.commits += 1
        if self.commits % COMPACT_EVERY == 0:
            self.compact()

    def compact(self) -> None:
        """Make few files of many small ones; readers of older versions keep theirs for a week."""
        self._delta.optimize.compact(commit_properties=CommitProperties(max_commit_retries=RETRIES))
        self._delta.create_checkpoint()
        self._delta.vacuum(dry_run=False)

    def forget(self, day: date) -> None:
        """Let the days before a day go: the batch has had them for long."""
        if any(str(found[self.day]) < str(day) for found in self._delta.partitions()):
            self._delta.delete(
                f"{self.day} < '{day}'",
                commit_properties=CommitProperties(max_commit_retries=RETRIES),
            )
