from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from agora.ingest import ingest
from agora.simulator import Params, simulate
from agora.stores.lake import Lake
from agora.tables import TABLES

if TYPE_CHECKING:
    from pathlib import Path

PARAMS = Params(days=3, customers=100, merchants=20, payments_per_day=30, sessions_per_day=40)


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("landing")
    simulate(PARAMS, folder)
    return folder


@pytest.mark.parametrize("name", ["products", "searches", "impressions", "interactions"])
def test_ingestion_takes_every_row(landing: Path, tmp_path: Path, name: str):
    lake = Lake(str(tmp_path))
    report = ingest(lake, str(landing), TABLES[name], PARAMS.start, PARAMS.end)
    assert report.rows_accepted == report.rows_read > 0
    assert not report.reasons


def test_products_that_landed_before_there_was_stock_are_taken_and_later_ones_join_them(
    landing: Path, tmp_path: Path
):
    lake, before = Lake(str(tmp_path / "lake")), tmp_path / "before"
    for path in landing.glob("products/dt=*/*.parquet"):
        old = pl.read_parquet(path, hive_partitioning=False).drop("description", "stock")
        copy = before / path.relative_to(landing)
        copy.parent.mkdir(parents=True)
        old.write_parquet(copy)
    table, second = TABLES["products"], PARAMS.start + timedelta(days=1)
    report = ingest(lake, str(before), table, PARAMS.start, second)
    assert report.rows_accepted == report.rows_read > 0
    assert lake.read("raw/products")["stock"].null_count() == report.rows_accepted
    later = ingest(lake, str(landing), table, second, PARAMS.end)
    assert later.rows_rejected == 0
    stock = lake.read("raw/products")["stock"]
    assert stock.null_count() == report.rows_accepted < len(stock)
