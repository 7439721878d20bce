"""The lake: Delta tables named `<layer>/<table>` below one root, local or on object storage.

A window write replaces exactly the rows of its partition range, in one commit, so a write can be
repeated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import duckdb
import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, write_deltalake
from deltalake.exceptions import DeltaError
from pyarrow import fs

from agora.stores.object_storage import filesystem, for_duckdb, is_remote

if TYPE_CHECKING:
    from datetime import date

DUCKDB_TYPES = {
    "string": "VARCHAR", "long": "BIGINT", "integer": "INTEGER", "short": "SMALLINT",
    "byte": "TINYINT", "date": "DATE", "timestamp": "TIMESTAMPTZ", "timestamp_ntz": "TIMESTAMP", 
    "boolean": "BOOLEAN", "double": "DOUBLE", "float": "FLOAT", "binary": "BLOB",
}  # fmt: skip
UNREADABLE = {"deletionVectors", "columnMapping"}
COMMIT_RETRIES = 30


class SchemaChangedError(ValueError):
    """A window write whose columns are not those of the table."""


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
        if not is_remote(self.root):
            return sorted(
                "/".join(log.parts[-3:-1]) for log in Path(self.root).glob("*/*/_delta_log")
            )
        found = [
            f"{layer.base_name}/{table.base_name}"
            for layer in self._folders("")
            for table in self._folders(layer.base_name)
        ]
        return sorted(name for name in found if self.exists(name))

    def scan(self, table: str, version: int | None = None) -> str:
        """A SELECT over the table's live files, for DuckDB; it pins the version."""
        return scan_sql(self.table(table, version))

    def read(
        self,
        table: str,
        columns: list[str] | None = None,
        where: str = "",
        version: int | None = None,
    ) -> pl.DataFrame:
        """Rows of a table as Polars, with an optional SQL condition."""
        chosen = ", ".join(quote(column) for column in columns) if columns else "*"
        condition = f" where {where}" if where else ""
        return self.query(f"select {chosen} from ({self.scan(table, version)}){condition}")

    def query(self, sql: str, **tables: pl.DataFrame | pa.Table) -> pl.DataFrame:
        """Run SQL in a fresh DuckDB: lake tables are `<layer>.<table>`, `tables` go by name."""
        with self.connect(sql) as connection:
            for name, frame in tables.items():
                connection.register(
                    name, frame if isinstance(frame, pa.Table) else frame.to_arrow()
                )
            return pl.DataFrame(connection.sql(sql).to_arrow_table())

    def connect(self, sql: str | None = None) -> duckdb.DuckDBPyConnection:
        """An in-memory DuckDB in UTC with a view per lake table named in `sql` (None: of all)."""
        connection = duckdb.connect(":memory:")
        connection.execute("set TimeZone='UTC'; set python_enable_replacements=false")
        self.attach(connection)
        for name in self.tables():
            layer, table = name.split("/")
            if sql is None or re.search(rf"\b{layer}\"?\.\"?{table}\b", sql):
                connection.execute(f"create schema if not exists {quote(layer)}")
                connection.execute(
                    f"create view {quote(layer)}.{quote(table)} as {self.scan(name)}"
                )
        return connection

    def attach(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let a DuckDB connection read the files that `scan` names."""
        if is_remote(self.root):
            connection.register_filesystem(for_duckdb(self.root, self.options))

    def write(
        self,
        table: str,
        data: pl.DataFrame | pa.Table | pa.RecordBatchReader,
        *,
        partition_by: str | None = None,
        window: Window | None = None,
        metadata: dict[str, str] | None = None,
    ) -> int:
        """Replace the table, or with `window` exactly the rows of that window, in one commit.

        Args:
            table: `<layer>/<table>`.
            data: Rows; those outside the window are refused by Delta.
            partition_by: Partition column of the table.
            window: Days that the data stands for; an empty frame empties them.
            metadata: Goes into the commit: run id, code version, what was read.

        Returns:
            The Delta version that this write made.

        Raises:
            SchemaChangedError: A window write would change a column's type or leave a column out.
        """
        arrow = data.to_arrow() if isinstance(data, pl.DataFrame) else data
        schema = pa.schema(arrow.schema)
        delta = self._created(table, schema, window.column if window else partition_by)
        if window:
            check_window_schema(delta, schema)
        write_deltalake(
            delta,
            arrow,
            mode="overwrite",
            predicate=window.predicate if window else None,
            partition_by=None if window or not partition_by else [partition_by],
            schema_mode="merge" if window else "overwrite",
            commit_properties=CommitProperties(
                custom_metadata=metadata or {}, max_commit_retries=COMMIT_RETRIES
            ),
        )
        # Writing moves the object to its own commit; the newest version may be another writer's.
        return delta.version()

    def _created(self, table: str, schema: pa.Schema, partition_by: str | None) -> DeltaTable:
        """The table, made empty if it is absent.

        Two first writers would erase each other's window if "absent" meant "without a predicate".
        """
        if not self.exists(table):
            try:
                return DeltaTable.create(
                    self.uri(table), schema, mode="ignore", storage_options=self.options,
                    partition_by=[partition_by] if partition_by else None,
                    # A retry would commit the schema a second time and fail whoever writes by then.
                    commit_properties=CommitProperties(max_commit_retries=0),
                )  # fmt: skip
            except DeltaError:
                if not self.exists(table):
                    raise
        return self.table(table)

    def _folders(self, below: str) -> list[fs.FileInfo]:
        files, root = filesystem(self.root, self.options)
        selector = fs.FileSelector(f"{root}/{below}".rstrip("/"), allow_not_found=True)
        return [
            info for info in files.get_file_info(selector) if info.type == fs.FileType.Directory
        ]


def check_window_schema(table: DeltaTable, schema: pa.Schema) -> None:
    """Refuse what Delta would do silently: cast 1.7 to 1, fill a missing column with null.

    Raises:
        SchemaChangedError: The window's columns are not those of the days that stay.
    """
    held = {field.name: duckdb_type(field.type) for field in table.schema().fields}
    new = {field.name: duckdb_type(field.type) for field in Schema.from_arrow(schema).fields}
    changes = [
        f"{name} is {held[name]} in the table and {kind} in the window"
        for name, kind in new.items()
        if held.get(name, kind) != kind
    ]
    changes += [f"{name} is missing in the window" for name in held if name not in new]
    if changes:
        raise SchemaChangedError(
            f"{table.table_uri}: {'; '.join(changes)}; write the whole table anew"
        )


def scan_sql(table: DeltaTable) -> str:
    """A SELECT over the live files of a Delta table.

    DuckDB's own Delta extension is a download; the files that Delta lists read as fast without.

    Raises:
        RuntimeError: The table uses a reader feature that plain Parquet files do not show.
    """
    unreadable = set(table.protocol().reader_features or []) & UNREADABLE
    if unreadable:
        raise RuntimeError(f"{table.table_uri}: unsupported reader features {sorted(unreadable)}")
    fields, files = table.schema().fields, file_paths(table)
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


def file_paths(table: DeltaTable) -> list[str]:
    """The table's live files, as DuckDB and Arrow open them."""
    files = table.file_uris()
    # Delta shows local paths escaped ("a%20lake"), which nothing else unescapes.
    return [file if is_remote(file) else unquote(file) for file in files]


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
