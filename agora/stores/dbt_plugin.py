"""dbt-duckdb plugin: lake tables are views, and `store` lands a model's rows as a Delta table.

dbt runs in an in-memory DuckDB, in a process of its own; what it reads and writes is the lake and
nothing else. The `delta` materialization in `dbt_project/macros/delta` calls `store`.
"""

from __future__ import annotations

import json
import time
from datetime import date
from typing import TYPE_CHECKING, Any

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
    "string": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMPTZ",
}
# Rows a batch: DuckDB's row group, so that neither side holds more than one.
BATCH_ROWS = 122_880
ATTEMPTS = 6


class Plugin(BasePlugin):  # type: ignore[misc]
    """Reads and writes the lake for dbt."""

    lake: Lake
    connection: duckdb.DuckDBPyConnection

    def initialize(self, config: dict[str, Any]) -> None:
        """Take the lake's root and options from the profile."""
        options = config.get("options") or {}
        parsed = json.loads(options) if isinstance(options, str) else dict(options)
        self.lake = Lake(config["root"], parsed)
        if self.creds is not None and str(self.creds.path).endswith(":memory:"):
            # dagster-dbt turns ":memory:" into a path in the project for its own connection.
            self.creds.path = ":memory:"

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        """An in-memory database cannot be opened read-only, which dagster-dbt asks for."""
        if creds.path == ":memory:":
            config.pop("access_mode", None)

    def configure_connection(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Publish the lake's tables as views: one version of each for the whole run."""
        self.connection = connection
        connection.execute("set TimeZone='UTC'")
        self.lake.attach(connection)
        present = {name for name in self.lake.tables() if name.split("/")[0] in LAYERS}
        for name in sorted(present | {f"raw/{table}" for table in TABLES}):
            layer, table = name.split("/")
            parts = [f"({self.lake.scan(name)})"] if name in present else []
            if layer == "raw" and table in TABLES:
                # A table that never landed, or lacks a newer column, must not break the build.
                parts.insert(0, contract_sql(TABLES[table]))
            view = f"{quote(layer)}.{quote(table)}"
            connection.execute(f"create schema if not exists {quote(layer)}")
            connection.execute(f"create view {view} as {' union all by name '.join(parts)}")

    def store(self, target: TargetConfig) -> None:
        """Write the rows of a query to a lake table, whole or by window, in one commit.

        Args:
            target: Its config holds `table`, `sql`, `partition_by`, `start` and `end` (both empty:
                the whole table), `metadata`, and `out`, which receives `version`, `rows` and
                `view_sql`.
        """
        config: dict[str, Any] = target.config
        for attempt in range(ATTEMPTS):
            try:
                version = self._write(config)
                break
            except (CommitFailedError, DeltaError) as error:
                if attempt + 1 == ATTEMPTS or not lost_race(error):
                    raise
                # The reader is spent, so the query runs again.
                time.sleep(0.2 * 2**attempt)
        config["out"].update(
            version=version,
            rows=self._rows_written(config["table"], version),
            view_sql=self.lake.scan(config["table"], version),
        )

    def _write(self, config: dict[str, Any]) -> int:
        window = None
        if config["start"]:
            start, end = (date.fromisoformat(config[name]) for name in ("start", "end"))
            window = Window(config["partition_by"], start, end)
        cursor = self.connection.cursor()
        # Else DuckDB would take names it does not know for Python variables.
        cursor.execute("set TimeZone='UTC'; set python_enable_replacements=false")
        return self.lake.write(
            config["table"],
            cursor.sql(config["sql"]).to_arrow_reader(BATCH_ROWS),
            partition_by=config["partition_by"],
            window=window,
            metadata=config["metadata"],
        )

    def _rows_written(self, table: str, version: int) -> int:
        # A pinned table still shows what other writers have committed since.
        commits = self.lake.table(table).history()
        (commit,) = (commit for commit in commits if commit["version"] == version)
        return int((commit.get("operationMetrics") or {}).get("num_added_rows") or 0)


def contract_sql(table: Table) -> str:
    """A typed SELECT without rows: the raw table's columns, whether or not it ever landed."""
    columns = [(column.name, CONTRACT_TYPES[column.kind]) for column in table.all_columns]
    columns += [("arrival_date", "DATE"), ("source_file", "VARCHAR")]
    nulls = ", ".join(f"null::{kind} as {quote(name)}" for name, kind in columns)
    return f"select {nulls} where false"


def lost_race(error: Exception) -> bool:
    """Whether a write failed because another one was first."""
    message = str(error).lower()
    known = "already exists" in message or "conflict" in message
    return isinstance(error, CommitFailedError) or known
