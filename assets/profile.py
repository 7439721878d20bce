"""What the UI shows of a Delta table: size, rows, schema, what is missing, how much it varies."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from agora.stores.lake import quote

if TYPE_CHECKING:
    from agora.schema import Table
    from agora.stores.lake import Lake

NUMBERS = {"integer", "number", "boolean"}


def schema_of(table: Table) -> dg.TableSchema:
    """The contract's columns as the UI shows them."""
    return dg.TableSchema(
        [
            dg.TableColumn(
                column.name,
                column.kind,
                column.description,
                dg.TableColumnConstraints(nullable=column.nullable),
                {"personal": "true"} if column.personal else None,
            )
            for column in table.all_columns
        ]
    )


def table_metadata(lake: Lake, name: str) -> dict[str, Any]:
    """Delta version, rows, files, bytes and columns of a table as it stands."""
    table = lake.table(name)
    actions = pa.table(table.get_add_actions(flatten=True))
    fields = table.schema().fields
    return {
        "delta_version": table.version(),
        "dagster/row_count": pc.sum(actions["num_records"]).as_py() or 0,
        "dagster/uri": table.table_uri,
        "size_bytes": pc.sum(actions["size_bytes"]).as_py() or 0,
        "files": actions.num_rows,
        "columns": len(fields),
        "dagster/column_schema": dg.TableSchema(
            [
                dg.TableColumn(field.name, str(getattr(field.type, "type", field.type)))
                for field in fields
            ]
        ),
    }


def rows_by_day(lake: Lake, name: str, column: str, start: date, end: date) -> dict[str, int]:
    """Rows per day of a partition column in [start, end), read from the Delta log alone."""
    actions = pa.table(lake.table(name).get_add_actions(flatten=True))
    counts: dict[str, int] = {}
    for day, rows in zip(
        actions[f"partition.{column}"].to_pylist(), actions["num_records"].to_pylist(), strict=True
    ):
        if day is not None and start <= date.fromisoformat(str(day)) < end:
            counts[str(day)] = counts.get(str(day), 0) + rows
    return counts


def column_profile(lake: Lake, table: Table, start: date, end: date) -> dict[str, Any]:
    """Missing values in total, and per column with the variance, of the days [start, end)."""
    parts = ["count(*) as n"]
    for column in table.all_columns:
        name = quote(column.name)
        parts.append(f"count({name}) as {quote('present ' + column.name)}")
        if column.kind in NUMBERS:
            parts.append(f"var_samp({name}::double) as {quote('variance ' + column.name)}")
    where = f"arrival_date >= '{start}' and arrival_date < '{end}'"
    found = lake.query(f"select {', '.join(parts)} from raw.{table.name} where {where}").row(
        0, named=True
    )
    rows, missing = found["n"], 0
    lines = [
        "| column | type | missing | missing share | variance |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for column in table.all_columns:
        absent = rows - found[f"present {column.name}"]
        missing += absent
        variance = found.get(f"variance {column.name}")
        lines.append(
            f"| {column.name} | {column.kind} | {absent:,} | {absent / rows if rows else 0:.1%} "
            f"| {'' if variance is None else f'{variance:,.4g}'} |"
        )
    return {
        "rows_taken": rows,
        "missing_total": missing,
        "missing_and_variance": dg.MetadataValue.md("\n".join(lines)),
    }


def counts(title: str, found: dict[str, int]) -> dg.MarkdownMetadataValue:
    """Counts by name as a Markdown table."""
    rows = [f"| {name.replace('|', ' ')} | {count:,} |" for name, count in found.items()]
    return dg.MetadataValue.md("\n".join([f"| {title} | count |", "| --- | ---: |", *rows]))
