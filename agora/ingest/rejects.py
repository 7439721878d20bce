"""Rows that did not hold, kept on disk until their commit: a day may be rejected as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

import polars as pl
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

QUARANTINE = {
    "arrival_date": pl.Date(),
    "source_file": pl.String(),
    "row_number": pl.Int64(),
    "reasons": pl.List(pl.String()),
    "payload": pl.String(),
}


@dataclass
class Rejects:
    """Rows for quarantine, in temporary files."""

    folder: TemporaryDirectory[str] = field(default_factory=TemporaryDirectory)
    parts: list[Path] = field(default_factory=list)

    def add(self, day: date, source_file: str, rows: pl.DataFrame) -> None:
        """Keep rows of a file (`row_number`, `reasons`, `payload`)."""
        if rows.is_empty():
            return
        named = rows.with_columns(
            pl.lit(day).alias("arrival_date"), pl.lit(source_file).alias("source_file")
        )
        part = Path(self.folder.name) / f"{len(self.parts)}.parquet"
        named.select(pl.col(name).cast(kind) for name, kind in QUARANTINE.items()).write_parquet(
            part
        )
        self.parts.append(part)

    def reader(self) -> pa.RecordBatchReader:
        """All rows kept, as a stream."""
        schema = pl.DataFrame(schema=QUARANTINE).to_arrow().schema
        return pa.RecordBatchReader.from_batches(schema, self._batches(schema))

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        for part in self.parts:
            yield from pl.read_parquet(part).to_arrow().cast(schema).to_batches()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.folder.cleanup()
