"""dbt itself on a lake: what it writes, what it refuses, what it leaves alone."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from agora.entities import FEATURE_SETS
from agora.tables import TABLES
from agora.warehouse import PROJECT, WarehouseError, dbt_command, dbt_environment, run_dbt
from agora.warehouse_docs import documents
from tests.dbt.compiled import CompiledWarehouse
from tests.dbt.histories import END, FIRST_DAY

if TYPE_CHECKING:
    import polars as pl

    from agora.settings import Settings
    from agora.stores.lake import Lake


# One worker, so that dbt builds its lake once.
pytestmark = pytest.mark.xdist_group("dbt")


def test_dbt_lands_what_its_sql_says(
    built: tuple[Settings, Lake],
    models: list[dict[str, str]],
    history: dict[str, pl.DataFrame],
) -> None:
    _, lake = built
    expected = CompiledWarehouse(models, history)
    expected.build(FIRST_DAY, END)
    for name, feature_set in FEATURE_SETS.items():
        landed = lake.query(f"select * from features.ftr_{name} order by all")
        rows = expected.rows(f"features.ftr_{name}").select(landed.columns)
        assert landed.sort(landed.columns).equals(rows.sort(landed.columns)), name
        assert set(feature_set.names) < set(landed.columns)


def test_feature_tables_have_the_declared_columns_and_no_other(
    built: tuple[Settings, Lake],
) -> None:
    _, lake = built
    for feature_set in FEATURE_SETS.values():
        heads = {feature_set.entity.key, "feature_at", "arrived_at", "feature_date"}
        schema = lake.table(feature_set.table).schema()
        assert {field.name for field in schema.fields} == heads | set(feature_set.names)
        assert lake.table(feature_set.table).metadata().partition_columns == ["feature_date"]


def test_tables_that_never_landed_do_not_break_the_build(built: tuple[Settings, Lake]) -> None:
    _, lake = built
    never_landed = {"searches", "orders", "cards"}
    assert not any(lake.exists(f"raw/{name}") for name in never_landed)
    for name in never_landed:
        found = lake.read(f"marts/{name}")
        assert found.is_empty()
        assert set(TABLES[name].key) < set(found.columns)
    assert never_landed < set(TABLES)


def test_each_commit_names_the_model_and_the_invocation(built: tuple[Settings, Lake]) -> None:
    _, lake = built
    (commit, *_) = lake.table("marts/payments").history(1)
    assert commit["dbt_unique_id"] == "model.agora.payments"
    assert len(commit["dbt_invocation_id"]) == 36


def test_a_window_table_is_not_replaced_without_a_window(built: tuple[Settings, Lake]) -> None:
    settings, lake = built
    before = lake.version("marts/payments")
    with pytest.raises(WarehouseError, match="set AGORA_WINDOW_START and AGORA_WINDOW_END"):
        run_dbt(settings, ["run", "--select", "payments"])
    assert lake.version("marts/payments") == before


def test_unit_tests_pass_and_an_empty_build_never_writes(built: tuple[Settings, Lake]) -> None:
    settings, lake = built
    before = {name: lake.version(name) for name in lake.tables()}
    environment = dbt_environment(settings, FIRST_DAY, END)
    del environment["DBT_EXCLUDE_RESOURCE_TYPES"]
    done = subprocess.run(
        [*dbt_command(), "build", "--empty", "--exclude-resource-type", "test"],
        cwd=PROJECT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "12 unit tests" in done.stdout
    assert {name: lake.version(name) for name in lake.tables()} == before


def test_documents_say_what_is_declared() -> None:
    stale = [path.name for path, text in documents().items() if path.read_text() != text]
    assert stale == [], "run `python -m agora.warehouse_docs`"


@pytest.mark.slow
def test_a_broken_contract_fails_the_build_with_its_name(
    built: tuple[Settings, Lake],
) -> None:
    settings, lake = built
    orders = lake.read("raw/payments").head(1)
    twice = orders.vstack(orders).select("order_id", "event_at", "arrived_at", "arrival_date")
    lake.write("raw/orders", twice, partition_by="arrival_date")
    with pytest.raises(WarehouseError, match="primary_key_stg_marketplace__orders"):
        run_dbt(settings, ["build", "--select", "stg_marketplace__orders"], FIRST_DAY, END)
