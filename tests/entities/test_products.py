"""The catalogue of a time is what was known strictly before it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from agora.entities.products import catalogue
from agora.stores.lake import Lake
from tests.dbt.shopping_histories import START_AT, product_versions

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = ["product_id", "title", "description", "category", "merchant_id", "price", "currency",
           "stock", "listed_at"]  # fmt: skip


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def landed(lake: Lake, products: int) -> list[dict[str, object]]:
    """`marts/products` as dbt makes it of random records."""
    rows = product_versions(np.random.default_rng(4), products)
    first = pl.col("event_at").cum_min().over("product_id", order_by="arrived_at")
    frame = pl.DataFrame(rows, schema_overrides={"description": pl.String})
    lake.write("marts/products", frame.with_columns(first.alias("listed_at")))
    return rows


def test_the_catalogue_of_any_time_is_the_newest_known_of_each_product(lake: Lake) -> None:
    rows = landed(lake, 12)
    moments = [START_AT - timedelta(days=9), *(row["arrived_at"] for row in rows)]
    counts = set()
    for moment in moments:
        assert isinstance(moment, datetime)
        known = [row for row in rows if row["arrived_at"] < moment]
        newest = {row["product_id"]: row for row in sorted(known, key=lambda r: r["arrived_at"])}
        found = catalogue(lake, moment)
        assert found.columns == COLUMNS
        assert found["product_id"].to_list() == sorted(newest)
        counts.add(len(found))
        for row in found.iter_rows(named=True):
            said = {name: newest[row["product_id"]][name] for name in COLUMNS[:-1]}
            listed = [r["event_at"] for r in known if r["product_id"] == row["product_id"]]
            assert row == {**said, "listed_at": min(listed)}
    assert {0, 1, 11} <= counts


def test_a_time_without_a_zone_and_products_never_built_are_named(lake: Lake) -> None:
    with pytest.raises(ValueError, match="must have a time zone"):
        catalogue(lake, datetime(2026, 1, 1))
    with pytest.raises(LookupError, match="products has not been built"):
        catalogue(lake, START_AT)
