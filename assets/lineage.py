"""Column lineage of the dbt models, read from their compiled SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agora.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping

Lineage = dict[str, dict[str, list[list[str]]]]
"""Asset -> column -> [[upstream asset, upstream column], ...]; assets as `<layer>/<table>`."""

ADDED = ("arrival_date", "source_file")
"""Columns of every raw table that its contract does not name."""


def column_lineage(models: Mapping[str, dict[str, Any]]) -> Lineage:
    """Where each column of each model comes from, one step up."""
    schema: dict[str, dict[str, dict[str, str]]] = {
        "raw": {
            table.name: dict.fromkeys((*table.names, *ADDED), "unknown")
            for table in TABLES.values()
        }
    }
    found: Lineage = {}
    for node in in_order(models):
        if node["config"]["materialized"] == "ephemeral":
            continue
        columns = _columns(node["compiled_code"], schema)
        found[f"{node['schema']}/{node['alias']}"] = columns
        schema.setdefault(node["schema"], {})[node["alias"]] = dict.fromkeys(columns, "unknown")
    return found


def in_order(models: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Models with each one after those that it reads."""
    done: dict[str, dict[str, Any]] = {}

    def visit(name: str) -> None:
        if name in models and name not in done:
            for parent in models[name]["depends_on"]["nodes"]:
                visit(parent)
            done[name] = models[name]

    for name in models:
        visit(name)
    return list(done.values())


def _columns(sql: str, schema: dict[str, dict[str, dict[str, str]]]) -> dict[str, list[list[str]]]:
    """Output columns of a query, each with the table columns that its value is made of."""
    from sqlglot import exp, parse_one
    from sqlglot.lineage import lineage
    from sqlglot.optimizer import build_scope
    from sqlglot.optimizer.qualify import qualify

    query = parse_one(sql, dialect="duckdb")
    for table in query.find_all(exp.Table):
        # The catalogue is the in-memory database's name; the lake has layers and tables only.
        table.set("catalog", None)
    query = qualify(query, schema=schema, dialect="duckdb", validate_qualify_columns=False)
    scope = build_scope(query)
    columns: dict[str, list[list[str]]] = {}
    for name in query.named_selects:
        origins = set()
        for node in lineage(
            name, query, schema=None, dialect="duckdb", scope=scope, copy=False
        ).walk():
            if isinstance(node.expression, exp.Table):
                origins.add(
                    (
                        f"{node.expression.db}/{node.expression.name}",
                        node.name.split(".")[-1].strip('"'),
                    )
                )
        columns[name] = [list(origin) for origin in sorted(origins)]
    return columns
