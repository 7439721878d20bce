"""Great Expectations over raw: they fail when the table is broken behind ingestion's back."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from agora import expectations
from agora.expectations import CheckResult, check
from agora.ingest import ingest
from agora.stores.lake import Lake, Window
from agora.tables import CUSTOMERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY = date(2026, 1, 1)
NEXT = DAY + timedelta(days=1)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
WINDOW = Window("arrival_date", DAY, NEXT)


def customers(rows: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "customer_id": [f"c{number}" for number in range(rows)],
            "email": "someone@example.org",
            "country": "FI",
            "latitude": 60.0,
            "longitude": 25.0,
            "event_at": NOON,
            "arrived_at": NOON,
        }
    )


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return taken(tmp_path, customers(300))


def taken(root: Path, rows: pl.DataFrame) -> Lake:
    folder = root / "landing" / "customers" / f"dt={DAY}"
    folder.mkdir(parents=True)
    rows.write_parquet(folder / "a.parquet")
    lake = Lake(str(root / "lake"))
    ingest(lake, str(root / "landing"), CUSTOMERS, DAY, NEXT)
    return lake


def test_ingested_rows_pass(lake: Lake) -> None:
    result = check(lake, CUSTOMERS, DAY, NEXT)
    assert result.failures == []
    assert result.passed
    assert result.statistics["rows"] == 300


def first(rows: pl.DataFrame, **values: pl.Expr) -> pl.DataFrame:
    """The rows with other values in the first one."""
    return pl.concat([rows.head(1).with_columns(**values), rows[1:]])


TAMPERED: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], str]] = {
    "null": (lambda rows: first(rows, customer_id=pl.lit(None, pl.String)), "not_be_null"),
    "range": (lambda rows: first(rows, latitude=pl.lit(91.0)), "be_between.*latitude"),
    "length": (lambda rows: first(rows, country=pl.lit("FIN")), "lengths.*country"),
    "double": (lambda rows: pl.concat([rows, rows.head(1)]), "be_unique"),
    "future": (
        lambda rows: first(rows, event_at=pl.col("event_at") + timedelta(days=3)),
        "greater_than_b.*event_at",
    ),
    "day": (
        lambda rows: first(rows, arrived_at=pl.col("arrived_at") + timedelta(days=1)),
        "equal.*arrived_on",
    ),
    "type": (lambda rows: rows.with_columns(pl.col("latitude").cast(pl.String)), "VARCHAR"),
    "column": (lambda rows: rows.drop("email"), "columns_to_match_set.*email"),
    "unknown": (lambda rows: rows.with_columns(mood=pl.lit(1)), "columns_to_match_set.*mood"),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_a_table_broken_behind_ingestions_back_fails(lake: Lake, how: str) -> None:
    tamper, said = TAMPERED[how]
    held = lake.read("raw/customers")
    lake.write("raw/customers", tamper(held), partition_by="arrival_date")
    result = check(lake, CUSTOMERS, DAY, NEXT)
    assert not result.passed
    assert pl.Series(result.failures).str.contains(f"(?s){said}").any(), result.failures


def test_one_bad_row_is_found_however_small_the_sample(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expectations, "SAMPLE", 2)
    held = lake.read("raw/customers")
    lake.write("raw/customers", first(held, latitude=pl.lit(91.0)), window=WINDOW)
    result = check(lake, CUSTOMERS, DAY, NEXT)
    assert not result.passed
    assert result.statistics["sampled"] == 3


def test_too_many_rejected_rows_fail(tmp_path: Path) -> None:
    rows = customers(100).with_columns(
        latitude=pl.when(pl.int_range(100) < 5).then(91.0).otherwise(60.0)
    )
    result = check(taken(tmp_path, rows), CUSTOMERS, DAY, NEXT)
    assert not result.passed
    assert result.statistics["rejected_share"] == pytest.approx(0.05)
    assert "rejected_share" in result.failures[0]


def test_failures_show_no_personal_data(lake: Lake) -> None:
    held = lake.read("raw/customers")
    lake.write("raw/customers", first(held, email=pl.lit("x@" + "y" * 300)), window=WINDOW)
    failures = check(lake, CUSTOMERS, DAY, NEXT).failures
    assert "email" in failures[0]
    assert "yyy" not in failures[0]


def test_a_table_that_was_never_written_fails(tmp_path: Path) -> None:
    result = check(Lake(str(tmp_path)), CUSTOMERS, DAY, NEXT)
    assert result == CheckResult(False, ["raw/customers has not been written"])


def test_a_window_without_rows_passes(lake: Lake) -> None:
    assert check(lake, CUSTOMERS, NEXT, NEXT + timedelta(days=1)).passed


def test_results_are_plain_data(lake: Lake) -> None:
    result = check(lake, CUSTOMERS, DAY, NEXT)
    assert pickle.loads(pickle.dumps(result)) == result
