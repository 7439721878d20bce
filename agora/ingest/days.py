"""One arrival day of a table: its files' rows, validated, each key and arrival once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from agora.stores.landed_rows import UnreadableFileError, broken_lines, read_slices
from agora.validation import column_faults, unexpected_columns, validate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from agora.ingest.rejects import Rejects
    from agora.schema import Table
    from agora.stores.landed_rows import Slice
    from agora.stores.landing import LandedFile, Landing

FINGERPRINT = {"key": pl.UInt64(), "content": pl.UInt64()}


@dataclass
class DayOfRows:
    """What a day holds: a pure function of its files.

    Attributes:
        landing: Where the files are.
        table: The contract.
        day: The arrival day.
        read: Rows read so far.
        taken: Rows accepted so far.
        rejected: Rows rejected so far.
        duplicates: Rows that stood in the day already, value by value.
        files_rejected: Files set aside as a whole.
        reasons: Rows or files per reason.
        unexpected: Columns that the contract does not know.
        seen: Hashes of the keys and of the contents accepted so far.
    """

    landing: Landing
    table: Table
    day: date
    read: int = 0
    taken: int = 0
    rejected: int = 0
    duplicates: int = 0
    files_rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    unexpected: set[str] = field(default_factory=set)
    seen: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=FINGERPRINT))

    def accepted(self, files: list[LandedFile], rejects: Rejects) -> Iterator[pl.DataFrame]:
        """Rows for raw, slice by slice; everything else goes to `rejects`.

        The last file comes first: of rows with the same key and arrival the later file's stands.
        """
        for file in reversed(files):
            try:
                yield from self._file(file, rejects)
            except UnreadableFileError as error:
                self.files_rejected += 1
                self._reject(
                    rejects,
                    file,
                    broken_lines([None], str(error), [None]),
                    {"file: is not readable": 1},
                )

    def _file(self, file: LandedFile, rejects: Rejects) -> Iterator[pl.DataFrame]:
        expected: list[str] = []
        inspected = False
        for part in read_slices(lambda: self.landing.open(file), file.path):
            # A slice of broken lines alone says nothing about the file's columns.
            if not inspected and (part.rows.height or not part.broken.height):
                self._inspect(file, part)
                inspected, expected = True, part.rows.columns
            rows = self._slice(file, part, expected, rejects)
            if not rows.is_empty():
                self.taken += rows.height
                yield rows.with_columns(
                    pl.lit(self.day).alias("arrival_date"),
                    pl.lit(file.path).alias("source_file"),
                )

    def _inspect(self, file: LandedFile, part: Slice) -> None:
        """Refuse a file whose columns cannot fit."""
        columns = part.rows.drop("row_number").schema
        self.unexpected.update(unexpected_columns(self.table, columns))
        faults = column_faults(self.table, columns)
        if faults:
            said = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
            raise UnreadableFileError(
                f"{file.path}: does not fit the contract of {self.table.name}: {said}"
            )

    def _slice(
        self, file: LandedFile, part: Slice, expected: list[str], rejects: Rejects
    ) -> pl.DataFrame:
        absent = [name for name in expected if name not in part.rows.columns]
        rows = part.rows.with_columns(pl.lit(None).alias(name) for name in absent)
        self.read += rows.height + part.broken.height
        self.rejected += part.broken.height
        self._reject(rejects, file, part.broken, {"line: is not a row": part.broken.height})
        verdict = validate(rows, self.table, self.day)
        self.rejected += verdict.rejected.height
        self._reject(rejects, file, verdict.rejected, verdict.reasons)
        return self._once(file, verdict.accepted, rejects)

    def _once(self, file: LandedFile, rows: pl.DataFrame, rejects: Rejects) -> pl.DataFrame:
        """Rows whose key and arrival the day does not hold yet."""
        keys = [*self.table.key, "arrived_at"]
        prints = rows.select(
            pl.struct(keys).hash().alias("key"), pl.struct(self.table.names).hash().alias("content")
        )
        fresh = prints["key"].is_first_distinct() & ~prints["key"].is_in(self.seen["key"].implode())
        self.seen = pl.concat([self.seen, prints.filter(fresh)])
        if fresh.all():
            return rows
        again = rows.filter(~fresh).with_columns(prints.filter(~fresh))
        again = again.join(
            self.seen.rename({"content": "held"}), on="key", how="left", maintain_order="left"
        )
        other = again.filter(pl.col("content") != pl.col("held"))
        self.duplicates += again.height - other.height
        self.rejected += other.height
        label = f"{', '.join(keys)}: stand already in the day with other values"
        reason = f"{label}, in a later file or an earlier row of this one"
        payload = other.select(self.table.names).to_struct("payload").struct.json_encode()
        self._reject(
            rejects, file, broken_lines(other["row_number"], reason, payload), {label: other.height}
        )
        return rows.filter(fresh)

    def _reject(
        self, rejects: Rejects, file: LandedFile, rows: pl.DataFrame, reasons: dict[str, int]
    ) -> None:
        rejects.add(self.day, file.path, rows)
        for reason, count in reasons.items():
            if count:
                self.reasons[reason] = self.reasons.get(reason, 0) + count
