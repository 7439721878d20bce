"""Files that fit a contract: how users bring their own data.

`land_files` reads CSV, Parquet or JSON lines, says per column what does not fit, and lands rows by
arrival day. Rows that do not fit are landed too: ingestion quarantines them, so nothing is lost.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Literal, get_args

import polars as pl
from pyarrow import fs

from agora.conversion import timestamp_of
from agora.stores.landed_rows import Slice, UnreadableFileError, read_slices
from agora.stores.landing import drop
from agora.validation import column_faults, suggestion, unexpected_columns, validate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agora.schema import Table
    from agora.validation import Verdict

Arrival = Literal["column", "event_at", "now"]
EXAMPLES = 3


class LandingError(ValueError):
    """Nothing was landed; the text says why, per column."""


@dataclass
class FilesReport:
    """What was found in the files and what became of it.

    Attributes:
        table: Name of the contract.
        files: Files read.
        rows: Rows in them, broken lines included.
        misfits: Rows that do not fit; landed as well, for quarantine.
        columns: Per column: how many rows do not fit, and examples with row numbers.
        notes: What was assumed, and columns that the contract does not know.
        days: Arrival days that received rows.
        landed: New files in landing; none when the same files were landed before.
    """

    table: str
    files: int = 0
    rows: int = 0
    misfits: int = 0
    columns: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    days: list[date] = field(default_factory=list)
    landed: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        fitting = self.rows - self.misfits
        lines = [
            f"{self.table}: {self.files} files, {self.rows:,} rows: "
            f"{fitting:,} fit, {self.misfits:,} do not"
        ]
        lines += [
            f"  {name}: {count:,} rows do not fit, such as {'; '.join(examples)}"
            for name, (count, examples) in self.columns.items()
        ]
        lines += [f"  {note}" for note in self.notes]
        if self.days:
            new = f"{len(self.landed)} new files" if self.landed else "landed before: nothing new"
            lines.append(f"  arrival days {min(self.days)} to {max(self.days)}: {new}")
        return "\n".join(lines)


def land_files(
    table: Table,
    path: Path,
    landing: Path,
    *,
    arrived_at: Arrival | str = "column",
    strict: bool = False,
) -> FilesReport:
    """Land the files at a path as rows of a contract; the same files taken twice change nothing.

    Args:
        table: The contract.
        path: A file, or a folder whose files are read in order of their names.
        landing: Root of the landing folders.
        arrived_at: When the rows became known. "column": as the column says, or `event_at` where
            the file has no such column. "event_at": when it happened. "now": at this moment.
        strict: Refuse everything if one row does not fit.

    Raises:
        LandingError: A file cannot be read, a column cannot fit, or `strict` and a row does not.
    """
    if arrived_at not in get_args(Arrival):
        raise LandingError(
            f"arrived_at: {arrived_at!r} is not one of {', '.join(get_args(Arrival))}"
        )
    files = _files(path)
    report = FilesReport(table.name, files=len(files))
    _refuse_misfit_columns(table, files)
    now = datetime.now(UTC)
    # Looked through whole before the first row lands: a refusal leaves nothing behind.
    for file in files:
        for part in _slices(file):
            _note(report, table, part, _arrived(part.rows, arrived_at, now))
    if not report.rows:
        report.notes.append("no rows: nothing to land")
    if strict and report.misfits:
        raise LandingError(f"{report}\n  nothing was landed (strict)")
    for file in files:
        _land_file(report, table, file, landing, arrived_at, now)
    report.days = sorted(set(report.days))
    return report


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(
            file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")
        )
        if not found:
            raise LandingError(f"{path}: the folder holds no files")
        return found
    if not path.exists():
        raise LandingError(f"{path}: no such file or folder")
    return [path]


def _slices(file: Path) -> Iterator[Slice]:
    try:
        yield from read_slices(lambda: fs.LocalFileSystem().open_input_file(str(file)), file.name)
    except UnreadableFileError as error:
        raise LandingError(str(error)) from error


def _refuse_misfit_columns(table: Table, files: list[Path]) -> None:
    """Look at each file's columns, and tell of all files at once."""
    said = []
    for file in files:
        part = next(_slices(file))
        columns = part.rows.drop("row_number").schema
        faults = column_faults(table, columns)
        said += [f"{file.name}: {name}: {fault}" for name, fault in faults.items()]
    if said:
        raise LandingError(
            "\n".join([f"{table.name}: columns that cannot fit; nothing was landed", *said])
        )


def _arrived(rows: pl.DataFrame, arrived_at: str, now: datetime) -> pl.DataFrame:
    """The rows with `arrived_at`."""
    if arrived_at == "now":
        return rows.with_columns(pl.lit(now).cast(pl.Datetime("us", "UTC")).alias("arrived_at"))
    if arrived_at == "event_at" or "arrived_at" not in rows.columns:
        return rows.with_columns(pl.col("event_at").alias("arrived_at"))
    return rows


def _note(report: FilesReport, table: Table, part: Slice, rows: pl.DataFrame) -> None:
    verdict = validate(rows, table)
    report.rows += rows.height + part.broken.height
    report.misfits += verdict.rejected.height + part.broken.height
    _note_misfits(report, verdict)
    if part.broken.height:
        said = part.broken["reasons"][0][0].removeprefix("line: ")
        _add_misfit(
            report,
            "line",
            part.broken.height,
            [f"row {part.broken['row_number'][0]}: {said}"],
        )
    notes = []
    if "arrived_at" not in part.rows.columns and rows["arrived_at"].dtype == rows["event_at"].dtype:
        notes.append(
            "arrived_at: not in the file; taken to be event_at, as if known when it happened"
        )
    absent = [name for name in table.names if name not in rows.columns]
    for name in unexpected_columns(table, part.rows.drop("row_number").columns):
        notes.append(f"{name}: not in the contract, ignored{suggestion(name, absent)}")
    report.notes += [note for note in notes if note not in report.notes]


def _note_misfits(report: FilesReport, verdict: Verdict) -> None:
    for label, count in verdict.reasons.items():
        _add_misfit(report, label.partition(": ")[0], count, [])
    told = verdict.rejected.head(1000).explode("reasons").select("row_number", "reasons")
    for row, reason in told.unique("reasons", keep="first", maintain_order=True).rows():
        name, _, said = reason.partition(": ")
        _add_misfit(report, name, 0, [f"row {row}: {said}"])


def _add_misfit(report: FilesReport, column: str, count: int, examples: list[str]) -> None:
    before, shown = report.columns.get(column, (0, []))
    report.columns[column] = (before + count, (shown + examples)[:EXAMPLES])


def _land_file(
    report: FilesReport, table: Table, file: Path, landing: Path, arrived_at: str, now: datetime
) -> None:
    """Land a file slice by slice, each day's rows under a name made from the file's content."""
    stem = f"{file.name.split('.')[0].lstrip('_') or 'file'}-{_content(file, arrived_at)}"
    fallback: date | None = None
    for number, part in enumerate(_slices(file)):
        rows = _arrived(part.rows, arrived_at, now).drop("row_number")
        days = timestamp_of(rows, "arrived_at").dt.date().alias("day")
        first = days.min()
        fallback = fallback or (first if isinstance(first, date) else now.date())
        # Rows without a readable time go where their neighbours are; ingestion says what is wrong.
        by_day = rows.with_columns(days.fill_null(fallback)).partition_by(
            "day", as_dict=True, include_key=False
        )
        contents: list[tuple[date, str, pl.DataFrame | str]] = [
            (day, f"{stem}-{number:04d}.parquet", found) for (day,), found in by_day.items()
        ]
        if part.broken.height:
            lines = "\n".join(part.broken["payload"]) + "\n"
            contents.append((fallback, f"{stem}-{number:04d}-broken.jsonl", lines))
        for day, name, content in contents:
            # With "now" an earlier landing of the same file lies in another day.
            earlier = (
                list((landing / table.name).glob(f"dt=*/{name}")) if arrived_at == "now" else []
            )
            report.days.append(date.fromisoformat(earlier[0].parent.name[3:]) if earlier else day)
            if not earlier and drop(landing, table.name, day, name, content):
                report.landed.append(f"{table.name}/dt={day}/{name}")


def _content(file: Path, arrived_at: str) -> str:
    """A short text that stands for the file's bytes and how they are landed."""
    digest = hashlib.sha256(arrived_at.encode())
    with file.open("rb") as source:
        while block := source.read(2**20):
            digest.update(block)
    return digest.hexdigest()[:16]
