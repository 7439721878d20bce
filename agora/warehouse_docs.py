"""The dbt project's generated documents: raw and staging tables, and feature models.

`python -m agora.warehouse_docs` writes them; a test holds the files to what is declared here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from agora.entities import FEATURE_SETS
from agora.schema import Column
from agora.tables import TABLES

if TYPE_CHECKING:
    from agora.features import FeatureSet
    from agora.schema import Table

MODELS = Path(__file__).parents[1] / "dbt_project" / "models"
HEADER = "# Written by `python -m agora.warehouse_docs` from {origin}; edit that.\n"
ADDED = (
    Column("arrival_date", "timestamp", "Day on which it arrived; the partition."),
    Column("source_file", "string", "Landing file that held it."),
)
CHAINED = (
    "payment_count_", "amount_sum_", "fraud_count_", "resolved_fraud_count_",
    "impression_count_", "click_count_", "cart_count_", "purchase_count_",
)  # fmt: skip
"""What is counted or summed over windows that hold each other."""


def documents() -> dict[Path, str]:
    """Every generated file with its text."""
    tables, sets = list(TABLES.values()), list(FEATURE_SETS.values())
    staging = MODELS / "staging" / "marketplace"
    return {
        staging / "_marketplace__sources.yml": _text(
            "agora/tables.py", {"sources": [_source(tables)]}
        ),
        staging / "_marketplace__models.yml": _text(
            "agora/tables.py", {"models": [_staging_model(table) for table in tables]}
        ),
        MODELS / "features" / "_features__models.yml": _text(
            "agora/entities", {"models": [_feature_model(feature_set) for feature_set in sets]}
        ),
    }


def _text(origin: str, body: dict[str, Any]) -> str:
    import yaml

    dumped = yaml.safe_dump({"version": 2, **body}, sort_keys=False, width=110, allow_unicode=True)
    return HEADER.format(origin=origin) + dumped


def _source(tables: list[Table]) -> dict[str, Any]:
    return {
        "name": "raw",
        "description": "What landed and held its contract: every version, by arrival day.",
        "tables": [
            {"name": table.name, "description": table.grain, "columns": _columns(table)}
            for table in tables
        ],
    }


def _staging_model(table: Table) -> dict[str, Any]:
    key, name = [*table.key, "arrived_at"], f"stg_marketplace__{table.name}"
    return {
        "name": name,
        "description": f"{table.grain} As it landed, all versions.",
        "config": {"meta": _dagster("staging", table.owner)},
        "data_tests": [_in_window("primary_key", name, "arrival_date", columns=key)],
        "columns": _columns(table),
    }


def _columns(table: Table) -> list[dict[str, Any]]:
    return [
        {"name": column.name, "description": column.description}
        for column in (*table.all_columns, *ADDED)
    ]


def _feature_model(feature_set: FeatureSet) -> dict[str, Any]:
    key = feature_set.entity.key
    heads = [
        (key, "varchar", feature_set.entity.description),
        ("feature_at", "timestamptz", "Until when the values count: nothing later is in them."),
        (
            "arrived_at",
            "timestamptz",
            "When the values could be known: nothing that arrived later is in them.",
        ),
        ("feature_date", "date", "The partition: the day whose batch computes the row."),
    ]
    heads += [(feature.name, "double", feature.description) for feature in feature_set.features]
    name = f"ftr_{feature_set.name}"
    tests = [_in_window("primary_key", name, "feature_date", columns=[key, "arrived_at"])]
    if chains := _chains(feature_set.names):
        tests.append(_in_window("windows_nest", name, "feature_date", chains=chains))
    return {
        "name": name,
        "description": feature_set.description,
        "config": {"meta": _dagster("features", feature_set.owner)},
        "data_tests": tests,
        "columns": [
            {"name": name, "data_type": kind, "description": text} for name, kind, text in heads
        ],
    }


def _chains(names: tuple[str, ...]) -> list[list[str]]:
    """Counts and sums by window, the shortest first: what holds between them is arithmetic."""
    return [
        [name for name in names if name.startswith(prefix) and "ratio" not in name]
        for prefix in CHAINED
        if any(name.startswith(prefix) for name in names)
    ]


def _in_window(test: str, model: str, day: str, **arguments: Any) -> dict[str, Any]:
    where = f"{day} in __window__"
    return {test: {"name": f"{test}_{model}", "arguments": arguments, "config": {"where": where}}}


def _dagster(group: str, owner: str) -> dict[str, Any]:
    return {"dagster": {"group": group, "owners": [owner]}}


if __name__ == "__main__":
    for path, text in documents().items():
        path.write_text(text)
