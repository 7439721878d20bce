"""What a day's batch wrote stays: under corrections, repetition and any order of building."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from agora.entities import FEATURE_SETS
from tests.dbt.compiled import CompiledWarehouse
from tests.dbt.histories import END, FIRST_DAY, random_history, raw

if TYPE_CHECKING:
    from collections.abc import Iterator

# One worker, so that dbt builds its lake once.
pytestmark = pytest.mark.xdist_group("dbt")

MIDDLE = FIRST_DAY + timedelta(days=45)
TABLES = [f"features.ftr_{name}" for name in FEATURE_SETS]


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    return random_history(11)


@pytest.fixture(scope="module")
def whole(models: list[dict[str, str]], tables: dict[str, pl.DataFrame]) -> CompiledWarehouse:
    warehouse = CompiledWarehouse(models, tables)
    warehouse.build(FIRST_DAY, END)
    return warehouse


def test_one_day_at_a_time_equals_the_whole_range(
    models: list[dict[str, str]], tables: dict[str, pl.DataFrame], whole: CompiledWarehouse
) -> None:
    daily = CompiledWarehouse(models, tables)
    daily.build(FIRST_DAY, MIDDLE)
    end = MIDDLE + timedelta(days=5)
    daily.build_day_by_day(MIDDLE, end)
    for table in TABLES:
        assert daily.rows(table).equals(whole.rows(table, f"feature_date < '{end}'")), table


def test_running_a_day_again_changes_nothing(whole: CompiledWarehouse) -> None:
    before = {table: whole.rows(table) for table in TABLES}
    whole.build(MIDDLE, MIDDLE + timedelta(days=1))
    for table in TABLES:
        assert whole.rows(table).equals(before[table]), table


def test_days_build_in_any_order(
    models: list[dict[str, str]], tables: dict[str, pl.DataFrame], whole: CompiledWarehouse
) -> None:
    """Old days after new ones give the same features, once the marts hold all days."""
    shuffled = CompiledWarehouse(models, tables)
    shuffled.build(MIDDLE, END)
    shuffled.build(FIRST_DAY, MIDDLE)
    shuffled.build(MIDDLE, END, only="ftr_")
    for table in TABLES:
        assert shuffled.rows(table).equals(whole.rows(table)), table


def test_a_thousand_late_corrections_change_no_row_that_was_there_before(
    models: list[dict[str, str]], tables: dict[str, pl.DataFrame]
) -> None:
    """What arrives from `MIDDLE` on leaves every earlier row as it was."""
    warehouse = CompiledWarehouse(models, tables)
    warehouse.build(FIRST_DAY, END)
    known_before = {table: warehouse.rows(table, f"arrived_at <= '{MIDDLE}'") for table in TABLES}
    after = {table: warehouse.rows(table, f"arrived_at > '{MIDDLE}'") for table in TABLES}
    for table, frame in late_corrections(tables, 1_000):
        warehouse.land(table, frame)
    warehouse.build(FIRST_DAY, END)
    for table in TABLES:
        assert warehouse.rows(table, f"arrived_at <= '{MIDDLE}'").equals(known_before[table]), table
        assert not warehouse.rows(table, f"arrived_at > '{MIDDLE}'").equals(after[table]), table


def late_corrections(
    tables: dict[str, pl.DataFrame], count: int
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Versions, labels and records that arrive after `MIDDLE` about what came before."""
    random = np.random.default_rng(5)
    midnight = datetime(
        MIDDLE.year, MIDDLE.month, MIDDLE.day, tzinfo=tables["payments"]["event_at"][0].tzinfo
    )

    def late(number: int) -> dict[str, date]:
        return {"arrived_at": midnight + timedelta(seconds=1 + 900 * number)}

    earlier = tables["payments"].filter(pl.col("arrived_at") < midnight)
    chosen = earlier.sample(count, with_replacement=True, seed=5).drop(
        "arrival_date", "source_file"
    )
    yield "payments", raw("payments", [
        {**row, **late(number), "amount": float(random.uniform(1, 500)), "merchant_id": "merchant1"}
        for number, row in enumerate(chosen.iter_rows(named=True))
    ])  # fmt: skip
    yield "chargebacks", raw("chargebacks", [
        {"chargeback_id": f"late{number}", "payment_id": row["payment_id"],
         "reason": "fraud", "amount": 1.0, "event_at": row["event_at"], **late(number)}
        for number, row in enumerate(chosen.head(200).iter_rows(named=True))
    ])  # fmt: skip
    for table, key, changed in (
        ("impressions", "impression_id", {"position": 9}),
        ("interactions", "interaction_id", {"product_id": "product1", "kind": "purchase"}),
    ):
        before = tables[table].filter(pl.col("arrived_at") < midnight)
        chosen = before.unique(key, keep="last", maintain_order=True)
        yield table, raw(table, [
            {**row, **late(number), **changed}
            for number, row in enumerate(
                chosen.drop("arrival_date", "source_file").iter_rows(named=True)
            )
        ])  # fmt: skip
    for entity in ("customer", "merchant", "device", "product"):
        records = (
            tables[f"{entity}s"]
            .drop("arrival_date", "source_file")
            .filter(pl.col("arrived_at") < midnight)
        )
        yield f"{entity}s", raw(f"{entity}s", [
            {**row, **late(number), "event_at": row["event_at"] - timedelta(days=400)}
            for number, row in enumerate(records.iter_rows(named=True))
        ])  # fmt: skip


def test_data_without_shopping_builds_empty_features_of_it(
    models: list[dict[str, str]], tables: dict[str, pl.DataFrame]
) -> None:
    warehouse = CompiledWarehouse(models, {"payments": tables["payments"]})
    warehouse.build_day_by_day(MIDDLE, MIDDLE + timedelta(days=2))
    assert len(warehouse.rows("features.ftr_cards__recent")) > 0
    for name in ("customers__interests", "customers__shopping", "products__daily"):
        assert warehouse.rows(f"features.ftr_{name}").is_empty()
