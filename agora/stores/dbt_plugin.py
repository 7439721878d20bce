"""dbt-duckdb plugin: each Delta table of the lake is a view, and `store` lands a model's rows as a Delta table.

dbt runs in an in-memory DuckDB, in a process of its own; what it reads and writes is the lake and nothing else. The
`delta` materialization in `dbt_project/macros/delta` calls `store`.
"""

from __future__ import annotations

import json
import time
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from dbt.adapters.duckdb.plugins import BasePlugin
from deltalake.exceptions import CommitFailedError, DeltaError

from agora.stores.lake import Lake, Window, quote
from agora.tables import TABLES

if TYPE_CHECKING:
    import duckdb
    from dbt.adapters.duckdb.utils import TargetConfig

    from agora.schema import Table

LAYERS = ("raw", "marts", "features")
CONTRACT_TYPES = {
    "string": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN", "timestamp": "TIMESTAMPTZ",
}  # fmt: skip
BATCH_ROWS = 122_880
ATTEMPTS = 6


class SchemaNarrowed(ValueError):
    """A window write would change types or drop columns of the days that stay."""


class Plugin(BasePlugin):
    """Reads and writes the lake for dbt."""

    lake: Lake
    connection: duckdb.DuckDBPyConnection

    def initialize(self, config: dict[str, Any]) -> None:
        """Take the lake's root and options from the profile."""
        options = config.get("options") or {}
        self.lake = Lake(config["root"], json.loads(options) if isinstance(options, str) else options)
        if self.creds is not None and str(self.creds.path).endswith(":memory:"):
            # dagster-dbt turns ":memory:" into a path inside the project for its own connection.
            self.creds.path = ":memory:"

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        """An in-memory database cannot be opened read-only, which dagster-dbt asks for."""
        if creds.path == ":memory:":
            config.pop("access_mode", None)

    def configure_connection(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Publish the lake's tables as views; contract tables that never landed are empty views."""
        self.connection = connection
        connection.execute("set TimeZone='UTC'")
        present = {name for name in self.lake.tables() if name.split("/")[0] in LAYERS}
        for name in sorted(present | {f"raw/{table}" for table in TABLES}):
            layer, table = name.split("/")
            parts = [contract_sql(TABLES[table])] if layer == "raw" and table in TABLES else []
            parts += [f"({self.lake.scan(name)})"] if name in present else []
            connection.execute(f"create schema if not exists {quote(layer)}")
            connection.execute(
                f"create or replace view {quote(layer)}.{quote(table)} as "
                + " union all by name ".join(parts)
            )

    def store(self, target: TargetConfig) -> None:
        """Write the rows of `sql` to a lake table, whole or by window, in one commit.

        Args:
            target: Its config holds `table`, `sql`, `partition_by`, `start` and `end` (both empty: whole),
                `metadata`, and `out`, a dict that receives `version`, `rows` and `view_sql`.
        """
        config: dict[str, Any] = target.config
        for attempt in range(ATTEMPTS):
            try:
                version = self._write(config)
                break
            except (CommitFailedError, DeltaError) as error:
                if attempt + 1 == ATTEMPTS or not lost_race(error):
                    raise
                # Another writer committed first: what was read may be old, so the query runs again.
                time.sleep(0.2 * 2**attempt)
        metrics = self._metrics(config["table"], version)
        config["out"].update(version=version, rows=metrics, view_sql=self.lake.scan(config["table"]))

    def _write(self, config: dict[str, Any]) -> int:
        cursor = self.connection.cursor()
        cursor.execute("set TimeZone='UTC'; set python_enable_replacements=false")
        reader = cursor.sql(config["sql"]).to_arrow_reader(BATCH_ROWS)
        column = config["partition_by"]
        window = None
        if config["start"]:
            days = (date.fromisoformat(config["start"]), date.fromisoformat(config["end"]))
            window = Window(column, *days)
            self._check(config["table"], reader.schema)
        version = self.lake.write(
            config["table"], reader, partition_by=column, window=window, metadata=config["metadata"]
        )
        cursor.close()
        return version

    def _check(self, table: str, schema: pa.Schema) -> None:
        """Refuse what delta-rs would do silently: cast 1.7 to 1 and fill missing columns with null."""
        if not self.lake.exists(table):
            return
        held = {field.name: field.type for field in pa.schema(self.lake.table(table).schema().to_arrow())}
        new = {field.name: field.type for field in schema}
        changes = [f"{name}: {held[name]} became {new[name]}" for name in new if held.get(name, new[name]) != new[name]]
        changes += [f"{name}: gone" for name in held if name not in new]
        if changes:
            raise SchemaNarrowed(
                f"{table}: a window write would change the schema ({'; '.join(changes)}); use --full-refresh"
            )

    def _metrics(self, table: str, version: int) -> int | None:
        for commit in self.lake.table(table, version).history(1):
            return (commit.get("operationMetrics") or {}).get("num_added_rows")
        return None


def contract_sql(table: Table) -> str:
    """A typed SELECT without rows: the raw table's columns, whether or not it ever landed."""
    columns = [(column.name, CONTRACT_TYPES[column.kind]) for column in table.all_columns]
    columns += [("arrival_date", "DATE"), ("source_file", "VARCHAR")]
    nulls = ", ".join(f"null::{kind} as {quote(name)}" for name, kind in columns)
    return f"select {nulls} where false"


def lost_race(error: Exception) -> bool:
    """Whether a write failed because another one was first."""
    message = str(error).lower()
    return isinstance(error, CommitFailedError) or "already exists" in message or "conflict" in message
