"""The project's SQL without dbt: compiled once, then run in DuckDB for any window in milliseconds.

dbt takes six seconds to start; what these tests ask needs hundreds of runs.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import TYPE_CHECKING

import duckdb
import polars as pl

from agora.stores.dbt_plugin import contract_sql
from agora.tables import TABLES
from tests.dbt.histories import END, FIRST_DAY

if TYPE_CHECKING:
    from agora.settings import Settings


def compiled_models(settings: Settings) -> list[dict[str, str]]:
    """Name, kind, partition column and SQL of each model that dbt has built, parents first."""
    manifest = json.loads((settings.home / "dbt" / "target" / "manifest.json").read_text())
    nodes = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    parents = {node["unique_id"]: node["depends_on"]["nodes"] for node in nodes}
    return [
        {
            "name": f"{node['schema']}.{node['name']}",
            "kind": node["config"]["materialized"],
            "partition_by": node["config"].get("partition_by") or "",
            "sql": node["compiled_code"],
        }
        for node in sorted(nodes, key=lambda node: depth(node["unique_id"], parents))
    ]


def depth(name: str, parents: dict[str, list[str]]) -> int:
    """How many models lie between a model and the raw tables, at most."""
    return 1 + max((depth(parent, parents) for parent in parents.get(name, [])), default=0)


class CompiledWarehouse:
    """Raw tables in, marts and features out, in memory."""

    def __init__(self, models: list[dict[str, str]], history: dict[str, pl.DataFrame]) -> None:
        self.models = models
        self.connection = duckdb.connect(":memory:")
        self.connection.execute("set TimeZone='UTC'; set threads=2")
        for schema in ("raw", "staging", "marts", "features"):
            self.connection.execute(f"create schema {schema}")
        for name, table in TABLES.items():
            self.connection.execute(f"create table raw.{name} as {contract_sql(table)}")
        for name, frame in history.items():
            self.land(name, frame)

    def land(self, table: str, frame: pl.DataFrame) -> None:
        """Add raw rows."""
        self.connection.register("landed", frame.to_arrow())
        self.connection.execute(f"insert into raw.{table} by name select * from landed")
        self.connection.unregister("landed")

    def build(self, start: date, end: date, only: str = "") -> None:
        """What `dbt build` does for the days [start, end)."""
        for model in self.models:
            if only not in model["name"]:
                continue
            name, sql = model["name"], with_window(model["sql"], start, end)
            if model["kind"] == "view":
                self.connection.execute(f"create or replace view {name} as {sql}")
            elif model["partition_by"]:
                day = model["partition_by"]
                self.connection.execute(
                    f"create table if not exists {name} as select * from ({sql}) where false"
                )
                self.connection.execute(
                    f"delete from {name} where {day} >= '{start}' and {day} < '{end}'"
                )
                self.connection.execute(f"insert into {name} by name ({sql})")
            else:
                self.connection.execute(f"create or replace table {name} as {sql}")

    def build_day_by_day(self, start: date, end: date) -> None:
        """One build per day."""
        for number in range((end - start).days):
            self.build(start + timedelta(days=number), start + timedelta(days=number + 1))

    def rows(self, table: str, where: str = "true") -> pl.DataFrame:
        """Rows of a table in the order of all their columns."""
        return pl.DataFrame(
            self.connection.sql(
                f"select * from {table} where {where} order by all"
            ).to_arrow_table()
        )


def with_window(sql: str, start: date, end: date) -> str:
    """The SQL for other days than those it was compiled for."""
    return sql.replace(f"date '{FIRST_DAY}'", f"date '{start}'").replace(
        f"date '{END}'", f"date '{end}'"
    )
