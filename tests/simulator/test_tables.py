from __future__ import annotations

import polars as pl
import pytest

from agora.tables import TABLES
from tests.simulator.marketplaces import FULL, TRUTH_COLUMNS


@pytest.mark.parametrize("name", TABLES)
def test_every_table_holds_its_contract(full, name: str):
    table, frame = TABLES[name], full[0][name].select(TABLES[name].names)
    types = {
        "string": pl.String,
        "integer": pl.Int64,
        "number": pl.Float64,
        "boolean": pl.Boolean,
        "timestamp": pl.Datetime("us", "UTC"),
    }
    for column in table.all_columns:
        values = frame[column.name]
        assert values.dtype == types[column.kind], column.name
        assert column.nullable or values.null_count() == 0, column.name
        if column.minimum is not None:
            assert values.min() >= column.minimum, column.name
        if column.maximum is not None:
            assert values.max() <= column.maximum, column.name
        if column.allowed:
            assert set(values.unique()) <= set(column.allowed), column.name
        if column.kind == "string":
            assert values.str.len_chars().max() <= column.max_length, column.name
            assert (values.str.len_chars().fill_null(1) > 0).all(), column.name
    assert frame.select(*table.key, "arrived_at").is_unique().all()
    assert (frame["arrived_at"] >= frame["event_at"]).all()


@pytest.mark.parametrize("name", TABLES)
def test_no_table_tells_the_truth(full, name: str):
    assert TRUTH_COLUMNS.isdisjoint(TABLES[name].names)
    assert set(full[0][name].columns) == set(TABLES[name].names)


@pytest.mark.parametrize(
    ("child", "key", "parent"),
    [
        ("cards", "customer_id", "customers"),
        ("devices", "customer_id", "customers"),
        ("products", "merchant_id", "merchants"),
        ("orders", "customer_id", "customers"),
        ("orders", "merchant_id", "merchants"),
        ("orders", "product_id", "products"),
        ("payments", "order_id", "orders"),
        ("payments", "customer_id", "customers"),
        ("payments", "card_id", "cards"),
        ("payments", "merchant_id", "merchants"),
        ("payments", "device_id", "devices"),
        ("chargebacks", "payment_id", "payments"),
        ("verdicts", "payment_id", "payments"),
        ("searches", "customer_id", "customers"),
        ("impressions", "customer_id", "customers"),
        ("impressions", "product_id", "products"),
        ("interactions", "product_id", "products"),
    ],
)
def test_what_a_row_points_at_is_known_before_the_row(full, child: str, key: str, parent: str):
    known = full[0][parent].group_by(key).agg(known_at=pl.col("arrived_at").min())
    rows = full[0][child].drop_nulls(key).join(known, on=key, how="left")
    assert rows["known_at"].null_count() == 0
    assert (rows["known_at"] <= rows["arrived_at"]).all()


def test_records_change(full):
    for name in ("customers", "merchants", "products"):
        frame, key = full[0][name], TABLES[name].key[0]
        assert frame[key].n_unique() < frame.height, name
        assert frame.filter(pl.col("event_at").dt.date() > FULL.start)[key].n_unique() > 0, name
