"""What a table holds, in numbers: size, rows, and per column what is missing and how it varies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from agora.stores.lake import duckdb_type, quote

if TYPE_CHECKING:
    from datetime import date

    from agora.stores.lake import Lake

NUMBERS = ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "DOUBLE", "FLOAT")
PARTITION = "arrival_date"


@dataclass(frozen=True)
class ColumnProfile:
    """One column.

    Attributes:
        name: Its name.
        type: Its type, as DuckDB names it.
        missing: Rows without a value.
        missing_share: Their share; 0 where there are no rows.
        variance: Sample variance; None for what is no number, or fewer than two rows.
    """

    name: str
    type: str
    missing: int
    missing_share: float
    variance: float | None


@dataclass(frozen=True)
class Profile:
    """A table, or a window of it.

    Attributes:
        version: Delta version that was read.
        rows: Rows in the window.
        size_bytes: Size of the window's files.
        files: How many files these are.
        missing: Missing values in all columns.
        columns: Each column, in the table's order.
    """

    version: int
    rows: int
    size_bytes: int
    files: int
    missing: int
    columns: tuple[ColumnProfile, ...]


def profile(
    lake: Lake,
    table: str,
    start: date | None = None,
    end: date | None = None,
    column: str = PARTITION,
) -> Profile:
    """Profile a table in one pass over its rows.

    Args:
        lake: Where it is.
        table: `<layer>/<table>`.
        start: First day of the partition column; with `end` None the whole table.
        end: Day after the last.
        column: The partition column.
    """
    delta = lake.table(table)
    fields = {field.name: duckdb_type(field.type) for field in delta.schema().fields}
    where = (
        f"{quote(column)} >= '{start}' and {quote(column)} < '{end}'" if start and end else "true"
    )
    counted = ["count(*) as n"]
    for number, (name, kind) in enumerate(fields.items()):
        counted.append(f"count({quote(name)}) as present_{number}")
        if kind in NUMBERS:
            # Infinity has no variance, and DuckDB would raise.
            finite = f"filter (isfinite({quote(name)}::double))"
            counted.append(f"var_samp({quote(name)}) {finite} as variance_{number}")
    scan = lake.scan(table, delta.version())
    found = lake.query(f"select {', '.join(counted)} from ({scan}) where {where}").row(
        0, named=True
    )
    rows = found["n"]
    columns = tuple(
        ColumnProfile(
            name,
            kind,
            missing := rows - found[f"present_{number}"],
            missing / rows if rows else 0.0,
            found.get(f"variance_{number}"),
        )
        for number, (name, kind) in enumerate(fields.items())
    )
    size_bytes, files = _files(pa.table(delta.get_add_actions(flatten=True)), column, start, end)
    return Profile(
        delta.version(), rows, size_bytes, files, sum(item.missing for item in columns), columns
    )


def _files(actions: pa.Table, column: str, start: date | None, end: date | None) -> tuple[int, int]:
    """Size and number of the window's files, from the Delta log alone."""
    if start and end and f"partition.{column}" in actions.column_names:
        days = actions[f"partition.{column}"].cast(pa.date32())
        inside = pc.and_(pc.greater_equal(days, pa.scalar(start)), pc.less(days, pa.scalar(end)))
        actions = actions.filter(inside)
    return pc.sum(actions["size_bytes"]).as_py() or 0, actions.num_rows
