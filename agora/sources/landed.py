"""Lands the rows of a public data set: one file per table and arrival day, named by its content."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from agora.schema import dtype
from agora.sources.source import Summary
from agora.stores.landing import drop

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agora.schema import Table


def land_tables(source: str, tables: Mapping[Table, pl.DataFrame], landing: Path) -> Summary:
    """Land all rows; landing them again changes nothing.

    Args:
        source: Name of the source.
        tables: Rows by the table that they belong to, with `arrived_at`.
        landing: Root of the landing folders.
    """
    files = sum(_land(source, table, rows, landing) for table, rows in tables.items())
    arrivals = pl.concat([rows["arrived_at"] for rows in tables.values()]).dt.date()
    first, last = arrivals.min(), arrivals.max()
    counts = {table.name: rows.height for table, rows in tables.items()}
    return Summary(source, counts, files, first, last + timedelta(days=1))  # type: ignore[arg-type,operator]


def _land(source: str, table: Table, rows: pl.DataFrame, landing: Path) -> int:
    """How many files are new."""
    kinds = {column.name: dtype(column.kind) for column in table.all_columns}
    ordered = rows.sort("arrived_at", *table.key).select(
        pl.col(name).cast(kinds[name]) for name in table.names if name in rows.columns
    )
    days = ordered.with_columns(day=pl.col("arrived_at").dt.date()).partition_by(
        "day", as_dict=True, include_key=False
    )
    return sum(
        drop(landing, table.name, day, f"{source}-{_content(part)}.parquet", part)
        for (day,), part in days.items()
    )


def _content(rows: pl.DataFrame) -> str:
    """A short text that stands for the rows' values."""
    return hashlib.sha256(rows.write_ipc(None).getvalue()).hexdigest()[:12]
