"""Profiles: the numbers that the UI shows of a table."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from agora.profile import profile
from agora.stores.lake import Lake, Window

if TYPE_CHECKING:
    from pathlib import Path

DAY = date(2026, 1, 1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"))
    rows = pl.DataFrame(
        {
            "amount": [1.0, 2.0, None, 40.0],
            "country": ["FI", None, None, "DE"],
            "arrival_date": [DAY, DAY, DAY, DAY + timedelta(days=1)],
        }
    )
    lake.write("raw/payments", rows, window=Window("arrival_date", DAY, DAY + timedelta(days=2)))
    return lake


def test_a_profile_counts_what_is_missing_and_how_much_values_vary(lake: Lake) -> None:
    found = profile(lake, "raw/payments", DAY, DAY + timedelta(days=1))
    amount, country, _ = found.columns
    assert (found.rows, found.missing, found.files, found.version) == (3, 3, 1, 1)
    assert (amount.type, amount.missing, amount.variance) == ("DOUBLE", 1, pytest.approx(0.5))
    assert (country.missing_share, country.variance) == (pytest.approx(2 / 3), None)
    assert found.size_bytes > 0


def test_without_a_window_the_whole_table_is_profiled(lake: Lake) -> None:
    found = profile(lake, "raw/payments")
    assert (found.rows, found.files) == (4, 2)


def test_an_empty_window_has_an_empty_profile(lake: Lake) -> None:
    found = profile(lake, "raw/payments", DAY - timedelta(days=1), DAY)
    assert (found.rows, found.files, found.size_bytes, found.missing) == (0, 0, 0, 0)
    assert {column.missing_share for column in found.columns} == {0.0}
