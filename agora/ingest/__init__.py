"""Ingestion: landed files become `raw/<table>`; what does not hold becomes `quarantine/<table>`.

A day of raw is a pure function of the files of that day, and a window is one commit: a file taken
twice changes nothing, and a repaired file replays by taking its day again.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
from deltalake.exceptions import DeltaError

from agora.ingest.days import DayOfRows
from agora.ingest.rejects import QUARANTINE, Rejects
from agora.schema import schema_of
from agora.stores.lake import Window
from agora.stores.landing import Landing, landing_signatures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora.schema import Table
    from agora.stores.lake import Lake
    from agora.stores.landing import LandedFile

PARTITION = "arrival_date"
FILES_NAMED = 2000


@dataclass(frozen=True)
class IngestReport:
    """What one ingestion read and what became of it.

    Every row read is accepted, rejected or a duplicate. A file that cannot be read counts in
    `files_rejected` and is one row of quarantine without a row number.

    Attributes:
        table: Name of the table.
        start: First day.
        end: Day after the last.
        files: Files read, rejected ones included.
        rows_read: Rows in them.
        rows_accepted: Rows now in raw.
        rows_rejected: Rows now in quarantine.
        duplicates: Rows left out because they stood in the day already, value by value.
        reasons: Rows (or files) per reason, without values: may be logged.
        version: Delta version of raw.
        unexpected_columns: Columns that the contract does not know, and were ignored.
        files_rejected: Files set aside as a whole.
        quarantine_version: Delta version of quarantine.
        empty_days: Days of the window without files.
        bytes_read: Size of the files.
    """

    table: str
    start: date
    end: date
    files: int
    rows_read: int
    rows_accepted: int
    rows_rejected: int
    duplicates: int
    reasons: dict[str, int]
    version: int
    unexpected_columns: tuple[str, ...] = ()
    files_rejected: int = 0
    quarantine_version: int = 0
    empty_days: tuple[date, ...] = ()
    bytes_read: int = 0


def ingest(
    lake: Lake,
    landing: str,
    table: Table,
    start: date,
    end: date,
    metadata: dict[str, str] | None = None,
) -> IngestReport:
    """Take the files that arrived on the days [start, end) into raw and quarantine.

    Rows stream from the files into one commit of each table: memory does not grow with the window.

    Args:
        lake: Where raw and quarantine live.
        landing: Root of the landing folders, a path or s3:// URL.
        table: The contract.
        start: First day.
        end: Day after the last.
        metadata: Goes into both commits, beside the list of the files read.
    """
    if end <= start:
        raise ValueError(f"the window [{start}, {end}) holds no day")
    return _Ingestion(lake, Landing.at(landing), table, start, end, metadata or {}).run()


def landed_days(landing: str, table: Table) -> list[date]:
    """Arrival days that have a folder, sorted."""
    return Landing.at(landing).days(table.name)


@dataclass
class _Ingestion:
    """One call of `ingest`: what it takes, and what it has counted so far."""

    lake: Lake
    landing: Landing
    table: Table
    start: date
    end: date
    metadata: dict[str, str]
    days: list[DayOfRows] = field(default_factory=list)
    quarantine_version: int = 0
    failure: BaseException | None = None

    def run(self) -> IngestReport:
        """Stream the window into raw; quarantine is committed just before."""
        length = (self.end - self.start).days
        listed = {
            day: self.landing.files(self.table.name, day)
            for day in (self.start + timedelta(days=n) for n in range(length))
        }
        commit = {
            **self.metadata,
            "files": named([file for files in listed.values() for file in files]),
        }
        with Rejects() as rejects:
            rows = pa.RecordBatchReader.from_batches(
                raw_schema(self.table), self._batches(listed, rejects, commit)
            )
            try:
                version = self.lake.write(
                    f"raw/{self.table.name}", rows, window=self._window, metadata=commit
                )
            except DeltaError:
                # Delta shows an error of the stream as text only.
                if self.failure is not None:
                    raise self.failure from None
                raise
        return self._report(listed, version)

    @property
    def _window(self) -> Window:
        return Window(PARTITION, self.start, self.end)

    def _batches(
        self, listed: dict[date, list[LandedFile]], rejects: Rejects, commit: dict[str, str]
    ) -> Iterator[pa.RecordBatch]:
        schema = raw_schema(self.table)
        try:
            for day, files in listed.items():
                rows = DayOfRows(self.landing, self.table, day)
                self.days.append(rows)
                for accepted in rows.accepted(files, rejects):
                    yield from accepted.select(schema.names).to_arrow().cast(schema).to_batches()
            # Raw commits when this stream ends. Quarantine goes first: a crash between the two
            # leaves rows in both tables rather than in neither, and taking the window again repairs
            # it. In a thread, as Delta cannot write from within the thread that reads a stream.
            with ThreadPoolExecutor(1) as other:
                self.quarantine_version = other.submit(self._quarantine, rejects, commit).result()
        except BaseException as error:
            self.failure = error
            raise

    def _quarantine(self, rejects: Rejects, commit: dict[str, str]) -> int:
        return self.lake.write(
            f"quarantine/{self.table.name}", rejects.reader(), window=self._window, metadata=commit
        )

    def _report(self, listed: dict[date, list[LandedFile]], version: int) -> IngestReport:
        reasons: dict[str, int] = {}
        for day in self.days:
            for reason, count in day.reasons.items():
                reasons[reason] = reasons.get(reason, 0) + count
        files = [file for found in listed.values() for file in found]
        return IngestReport(
            table=self.table.name,
            start=self.start,
            end=self.end,
            files=len(files),
            rows_read=sum(day.read for day in self.days),
            rows_accepted=sum(day.taken for day in self.days),
            rows_rejected=sum(day.rejected for day in self.days),
            duplicates=sum(day.duplicates for day in self.days),
            reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
            version=version,
            unexpected_columns=tuple(
                sorted({name for day in self.days for name in day.unexpected})
            ),
            files_rejected=sum(day.files_rejected for day in self.days),
            quarantine_version=self.quarantine_version,
            empty_days=tuple(day for day, found in listed.items() if not found),
            bytes_read=sum(file.size for file in files),
        )


def raw_schema(table: Table) -> pa.Schema:
    """Columns of `raw/<table>`: the contract's, then the arrival day and the file."""
    columns = {**schema_of(table), PARTITION: pl.Date(), "source_file": pl.String()}
    return pl.DataFrame(schema=columns).to_arrow().schema


def named(files: list[LandedFile]) -> str:
    """The files with their sizes as JSON; a very long list is cut, as rows name their file too."""
    listed: dict[str, int] = {file.path: file.size for file in files[:FILES_NAMED]}
    return json.dumps(listed, separators=(",", ":"))


__all__ = ["QUARANTINE", "IngestReport", "ingest", "landed_days", "landing_signatures"]
