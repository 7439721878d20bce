"""The Fraud Detection Handbook as rows of our contracts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from agora.ingest import ingest
from agora.settings import Settings
from agora.sources import SOURCES, SourceError
from agora.stores.lake import Lake
from agora.tables import CARDS, CHARGEBACKS, CUSTOMERS, MERCHANTS, PAYMENTS

if TYPE_CHECKING:
    from pathlib import Path

HANDBOOK = SOURCES["fraud-handbook"]
TABLES = (CUSTOMERS, MERCHANTS, CARDS, PAYMENTS, CHARGEBACKS)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.parquet"
    pl.DataFrame(
        {
            "TRANSACTION_ID": [0, 1, 2],
            "TX_DATETIME": [
                datetime(2018, 4, 1, 0, 0, 31),
                datetime(2018, 4, 1, 9),
                datetime(2018, 4, 2, 23, 59, 59),
            ],
            "CUSTOMER_ID": [596, 4961, 596],
            "TERMINAL_ID": [3156, 3412, 3412],
            "TX_AMOUNT": [57.16, 81.51, 0.0],
            "TX_FRAUD": [0, 1, 0],
            "TX_FRAUD_SCENARIO": [0, 3, 0],
        }
    ).write_parquet(path)  # fmt: skip
    return path


def test_every_row_of_the_book_fits_our_contracts(book: Path, tmp_path: Path) -> None:
    summary = HANDBOOK.land(book, tmp_path / "landing")
    assert summary.rows == {
        "customers": 2,
        "merchants": 2,
        "cards": 2,
        "payments": 3,
        "chargebacks": 1,
    }
    assert (summary.start, summary.end) == (date(2018, 4, 1), date(2018, 4, 9))
    lake = Lake(str(tmp_path / "lake"))
    for table in TABLES:
        report = ingest(lake, str(tmp_path / "landing"), table, summary.start, summary.end)
        assert report.rows_accepted == report.rows_read == summary.rows[table.name]
        assert report.unexpected_columns == ()


def test_a_fraud_becomes_known_seven_days_after_the_payment(book: Path, tmp_path: Path) -> None:
    HANDBOOK.land(book, tmp_path / "landing")
    (path,) = (tmp_path / "landing" / "chargebacks" / "dt=2018-04-08").iterdir()
    (row,) = pl.read_parquet(path).to_dicts()
    assert row["payment_id"] == "1"
    assert row["reason"] == "fraud"
    assert row["arrived_at"] == datetime(2018, 4, 8, 9, tzinfo=UTC)


def test_entities_are_known_before_their_first_payment(book: Path, tmp_path: Path) -> None:
    HANDBOOK.land(book, tmp_path / "landing")
    rows = pl.read_parquet(tmp_path / "landing" / "customers" / "*" / "*.parquet")
    assert sorted(rows["customer_id"]) == ["4961", "596"]
    assert rows["arrived_at"].unique().to_list() == [datetime(2018, 4, 1, tzinfo=UTC)]


def test_landing_the_book_twice_changes_nothing(book: Path, tmp_path: Path) -> None:
    assert HANDBOOK.land(book, tmp_path / "landing").files > 0
    assert HANDBOOK.land(book, tmp_path / "landing").files == 0


def test_missing_columns_are_named(book: Path, tmp_path: Path) -> None:
    pl.read_parquet(book).drop("TX_FRAUD", "TX_AMOUNT").write_parquet(book)
    with pytest.raises(SourceError, match=r"book\.parquet.*missing columns TX_AMOUNT, TX_FRAUD"):
        HANDBOOK.land(book, tmp_path / "landing")


@pytest.mark.parametrize("name", ["absent.parquet", "."])
def test_a_path_without_data_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match=r"no \.parquet or \.csv file here"):
        HANDBOOK.land(tmp_path / name, tmp_path / "landing")


@pytest.mark.slow
def test_the_public_data_lands_whole(tmp_path: Path) -> None:
    public = Settings().public_data
    if public is None:
        pytest.skip("AGORA_PUBLIC_DATA names no folder with the public data")
    summary = HANDBOOK.land(public / "fraud_handbook", tmp_path / "landing")
    assert summary.rows["payments"] == 1_754_155
    assert summary.rows["chargebacks"] == 14_681
    assert summary.end - summary.start == timedelta(days=190)
