"""Every feature of every row equals brute force, whatever came late or was corrected."""

from __future__ import annotations

import math
from typing import Any

import pytest

from agora.entities import FEATURE_SETS
from tests.dbt.compiled import CompiledWarehouse
from tests.dbt.histories import END, FIRST_DAY, random_history
from tests.dbt.oracle import Oracle

# One worker, so that dbt builds its lake once.
pytestmark = pytest.mark.xdist_group("dbt")

SEEDS = range(3)


@pytest.fixture(scope="module", params=SEEDS)
def market(
    request: pytest.FixtureRequest, models: list[dict[str, str]]
) -> tuple[CompiledWarehouse, Oracle]:
    tables = random_history(request.param)
    warehouse = CompiledWarehouse(models, tables)
    warehouse.build(FIRST_DAY, END)
    return warehouse, Oracle(tables)


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_each_feature_of_each_row_equals_brute_force(
    market: tuple[CompiledWarehouse, Oracle], name: str
) -> None:
    warehouse, oracle = market
    feature_set = FEATURE_SETS[name]
    expected = oracle.expected(feature_set, FIRST_DAY, END)
    found = warehouse.rows(f"features.ftr_{name}").to_dicts()
    key = (feature_set.entity.key, "arrived_at")
    by_key = {tuple(row[column] for column in key): row for row in found}
    assert len(by_key) == len(found) == len(expected) > 100
    differences = [
        (row[key[0]], row[key[1]], column, row[column], by_key[row[key[0]], row[key[1]]][column])
        for row in expected
        for column in row
        if not same(row[column], by_key[row[key[0]], row[key[1]]][column])
    ]
    assert differences == []


def same(expected: Any, found: Any) -> bool:
    """Equal, with room for the last bits of a float."""
    if isinstance(expected, int | float) and isinstance(found, float):
        return math.isclose(expected, found, rel_tol=1e-9, abs_tol=1e-7)
    return bool(expected == found)
