"""The lake: Delta tables named `<layer>/<table>` below one root, local or on object storage.

A window write replaces exactly the rows of its partition range, in one commit, so every write can be repeated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake

if TYPE_CHECKING:
    from datetime import date

DUCKDB_TYPES = {
    "string": "VARCHAR", "long": "BIGINT", "integer": "INTEGER", "short": "SMALLINT", "byte": "TINYINT",
    "date": "DATE", "timestamp": "TIMESTAMPTZ", "timestamp_ntz": "TIMESTAMP", "boolean": "BOOLEAN",
    "double": "DOUBLE", "float": "FLOAT", "binary": "BLOB",
}  # fmt: skip
UNREADABLE = {"deletionVectors", "columnMapping"}
COMMIT_RETRIES = 30


@dataclass(frozen=True, slots=True)
class Window:
    """Days [start, end) of a partition column."""

    column: str
    start: date
    end: date

    @property
    def predicate(self) -> str:
        """The window as a Delta predicate."""
        return f"{self.column} >= '{self.start}' AND {self.column} < '{self.end}'"


@dataclass(frozen=True)
class Lake:
    """Reads and writes Delta tables below `root`."""

    root: str
    options: dict[str, str] = field(default_factory=dict)

    def uri(self, table: str) -> str:
        """Location of a table."""
        return f"{self.root}/{table}"

    def exists(self, table: str) -> bool:
        """Whether the table has been written."""
        return DeltaTable.is_deltatable(self.uri(table), storage_options=self.options)

    def table(self, table: str, version: int | None = None) -> DeltaTable:
        """The Delta table, at a version or the newest."""
        return DeltaTable(self.uri(table), version=version, storage_options=self.options)

    def version(self, table: str) -> int:
        """Newest version of the table."""
        return self.table(table).version()

    def tables(self) -> list[str]:
        """Names of all tables, sorted."""
        if "://" in self.root:
            from pyarrow import fs

            filesystem, path = fs.FileSystem.from_uri(self.root)
            found = filesystem.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
            logs = [info.path for info in found if info.path.endswith("/_delta_log")]
            return sorted("/".join(log.split("/")[-3:-1]) for log in logs)
        return sorted("/".join(log.parts[-3:-1]) for log in Path(self.root).glob("*/*/_delta_log"))

    def scan(self, table: str, version: int | None = None) -> str:
        """A SELECT over the table's live files, for DuckDB; it pins the version."""
        return scan_sql(self.table(table, version))

    def read(
        self, table: str, columns: list[str] | None = None, where: str = "", version: int | None = None
    ) -> pl.DataFrame:
        """Rows of a table as Polars, with an optional SQL condition."""
        chosen = ", ".join(quote(column) for column in columns) if columns else "*"
        condition = f" where {where}" if where else ""
        return self.query(f"select {chosen} from ({self.scan(table, version)}){condition}")

    def query(self, sql: str, **tables: pl.DataFrame | pa.Table) -> pl.DataFrame:
        """Run SQL in a fresh DuckDB; lake tables are `<layer>.<table>`, `tables` are registered by name."""
        with self.connect(sql) as connection:
            for name, frame in tables.items():
                connection.register(name, frame if isinstance(frame, pa.Table) else frame.to_arrow())
            return pl.DataFrame(connection.sql(sql).to_arrow_table())

    def connect(self, sql: str | None = None) -> duckdb.DuckDBPyConnection:
        """An in-memory DuckDB in UTC with a view per lake table that `sql` names (all when None)."""
        connection = duckdb.connect(":memory:")
        connection.execute("set TimeZone='UTC'; set python_enable_replacements=false")
        for name in self.tables():
            layer, table = name.split("/")
            if sql is None or re.search(rf"\b{layer}\.{table}\b", sql):
                connection.execute(f"create schema if not exists {quote(layer)}")
                connection.execute(f"create view {quote(layer)}.{quote(table)} as {self.scan(name)}")
        return connection

    def write(
        self,
        table: str,
        data: pl.DataFrame | pa.Table | pa.RecordBatchReader,
        *,
        partition_by: str | None = None,
        window: Window | None = None,
        metadata: dict[str, str] | None = None,
    ) -> int:
        """Replace the table, or with `window` exactly the rows of that window; returns the Delta version.

        Args:
            table: `<layer>/<table>`.
            data: Rows; those outside the window are refused by Delta.
            partition_by: Partition column of the table.
            window: Days that the data stands for; an empty frame empties them.
            metadata: Goes into the commit: run id, code version, what was read.
        """
        arrow = data.to_arrow() if isinstance(data, pl.DataFrame) else data
        uri = self.uri(table)
        if window is not None:
            # Two first writers would erase each other if "absent" meant "write without a predicate".
            DeltaTable.create(
                uri, pa.schema(arrow.schema), mode="ignore", storage_options=self.options,
                partition_by=[window.column],
            )  # fmt: skip
            partition_by = window.column
        write_deltalake(
            uri,
            arrow,
            mode="overwrite",
            partition_by=[partition_by] if partition_by else None,
            predicate=window.predicate if window else None,
            schema_mode="merge" if window else "overwrite",
            storage_options=self.options,
            commit_properties=CommitProperties(
                custom_metadata=metadata or {}, max_commit_retries=COMMIT_RETRIES
            ),
        )
        return self.version(table)


def scan_sql(table: DeltaTable) -> str:
    """A SELECT over the live files of a Delta table.

    DuckDB's own Delta extension is a download; reading the Parquet files that Delta lists is as fast and needs none.

    Raises:
        RuntimeError: The table uses a reader feature that plain Parquet files do not show.
    """
    unreadable = set(table.protocol().reader_features or []) & UNREADABLE
    if unreadable:
        raise RuntimeError(f"{table.table_uri}: unsupported reader features {sorted(unreadable)}")
    fields, files = table.schema().fields, table.file_uris()
    partitions = table.metadata().partition_columns
    # A typed empty branch keeps Delta's column order and columns that no live file holds yet.
    empty = "select " + ", ".join(f"null::{duckdb_type(f.type)} as {quote(f.name)}" for f in fields)
    empty += " where false"
    if not files:
        return empty
    options = "union_by_name=true, hive_partitioning=" + ("true" if partitions else "false")
    if partitions:
        types = ", ".join(
            f"{literal(f.name)}: {duckdb_type(f.type)}" for f in fields if f.name in partitions
        )
        # Without types, partition columns come back as text.
        options += f", hive_types={{{types}}}"
    listed = ", ".join(literal(file) for file in files)
    return f"{empty} union all by name select * from read_parquet([{listed}], {options})"


def duckdb_type(delta: Any) -> str:
    """DuckDB's name of a Delta type."""
    kind = type(delta).__name__
    if kind == "ArrayType":
        return duckdb_type(delta.element_type) + "[]"
    if kind == "StructType":
        inner = ", ".join(f"{quote(f.name)} {duckdb_type(f.type)}" for f in delta.fields)
        return f"STRUCT({inner})"
    if kind == "MapType":
        return f"MAP({duckdb_type(delta.key_type)}, {duckdb_type(delta.value_type)})"
    name = str(delta.type)
    return name.upper() if name.startswith("decimal") else DUCKDB_TYPES[name]


def quote(identifier: str) -> str:
    """A quoted SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A quoted SQL string."""
    return "'" + value.replace("'", "''") + "'"
