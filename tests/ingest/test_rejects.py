"""Ingestion: what breaks the contract is in quarantine with its reasons, and stops nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agora.stores import landed_rows
from agora.stores.lake import Lake
from tests.ingest.place import DAY, Place, payments

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_bad_rows_go_to_quarantine_with_file_row_reasons_and_content(place: Place) -> None:
    rows = payments(4).with_columns(
        amount=pl.Series([1.0, -3.0, 2.0, 3.0]), channel=pl.Series(["web", "fax", "app", "web"])
    )
    rows.write_parquet(place.day() / "a.parquet")
    report = place.take()
    assert (report.rows_accepted, report.rows_rejected) == (3, 1)
    (row,) = place.quarantine().to_dicts()
    assert row["source_file"] == "payments/dt=2026-01-01/a.parquet"
    assert row["row_number"] == 2
    assert row["reasons"] == [
        "amount: -3.0 is below the minimum 0",
        "channel: 'fax' is not one of web, app, in_store",
    ]
    assert '"payment_id":"p1"' in row["payload"]
    assert report.reasons["amount: is below the minimum 0"] == 1


def truncated(path: Path) -> None:
    payments(1000).write_parquet(path)
    path.write_bytes(path.read_bytes()[:2000])


def in_latin(path: Path) -> None:
    path.write_bytes(
        payments(1).with_columns(merchant_id=pl.lit("café")).write_csv().encode("latin-1")
    )


def without_columns(path: Path) -> None:
    payments(1).rename({"customer_id": "client"}).drop("amount").write_parquet(path)


def with_numbers_for_times(path: Path) -> None:
    payments(1).with_columns(event_at=pl.lit(1)).write_parquet(path)


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated.parquet": (truncated, "cannot be read as parquet .* deliver it again"),
    "empty.parquet": (lambda path: path.write_bytes(b""), "the file is empty"),
    "empty.csv": (lambda path: path.write_bytes(b""), "the file is empty"),
    "latin.csv": (in_latin, "UTF8"),
    "twice.csv": (lambda path: path.write_text("amount,amount\n1,2\n"), "names amount twice"),
    "semicolons.csv": (lambda path: payments(1).write_csv(path, separator=";"), "by commas"),
    "list.json": (lambda path: path.write_text("[{}]"), "one object per line"),
    "sheet.xlsx": (lambda path: path.write_bytes(b"PK"), "unknown ending"),
    "columns.parquet": (without_columns, "customer_id: the column is missing.*amount: the column"),
    "types.parquet": (with_numbers_for_times, "event_at: holds Int32 in the file"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_file_that_cannot_be_read_is_set_aside_and_stops_no_other(
    place: Place, name: str
) -> None:
    write, reason = FAULTS[name]
    write(place.day() / name)
    payments(3).write_parquet(place.day() / "good.parquet")
    report = place.take()
    assert (report.rows_accepted, report.rows_rejected, report.files_rejected) == (3, 0, 1)
    (row,) = place.quarantine().to_dicts()
    assert row["row_number"] is None
    assert row["source_file"].endswith(name)
    assert name in row["reasons"][0]
    assert pl.Series(row["reasons"]).str.contains(f"(?s){reason}").all(), row["reasons"]


def test_a_repaired_file_replays_by_taking_its_day_again(place: Place) -> None:
    truncated(place.day() / "a.parquet")
    payments(1, 2000).with_columns(amount=-1.0).write_parquet(place.day() / "b.parquet")
    assert place.take().rows_accepted == 0
    payments(1000).write_parquet(place.day() / "a.parquet")
    payments(1, 2000).write_parquet(place.day() / "b.parquet")
    assert place.take().rows_accepted == 1001
    assert place.quarantine().is_empty()


def test_broken_lines_are_rejected_one_by_one(place: Place) -> None:
    lines = payments(4).write_csv().splitlines()
    lines[2] = "p1,too,few"
    (place.day() / "a.csv").write_text("\n".join(lines))
    lines = payments(4, 10).write_ndjson().splitlines()
    lines[1] = lines[1][:20]
    (place.day() / "b.jsonl").write_text("\n".join(lines))
    report = place.take()
    assert (report.rows_read, report.rows_accepted, report.rows_rejected) == (8, 6, 2)
    rejected = place.quarantine()
    assert rejected["row_number"].to_list() == [2, 2]
    assert rejected["payload"][0] == "p1,too,few"
    assert rejected["reasons"].to_list() == [
        ["line: has 3 fields, the header has 9"],
        ["line: is not a JSON object"],
    ]


def test_row_numbers_stay_right_after_broken_lines(place: Place) -> None:
    rows = payments(6).with_columns(amount=pl.Series([1.0, 1, 1, -1, 1, -1]))
    lines = rows.write_csv().splitlines()
    lines[1] = lines[5] = "broken"
    (place.day() / "a.csv").write_text("\n".join(lines))
    place.take()
    assert place.quarantine()["row_number"].to_list() == [1, 4, 5, 6]


def test_rows_of_another_day_are_rejected(place: Place) -> None:
    payments(1, day=DAY + timedelta(days=1)).write_parquet(place.day() / "a.parquet")
    assert place.take().rows_rejected == 1
    assert "outside of the folder's day 2026-01-01" in place.quarantine()["reasons"][0][0]


BAD: dict[str, Any] = {"amount": -1.0, "channel": "fax", "customer_id": None, "currency": "EURO"}
ENDINGS = {"parquet": "parquet", "csv": "csv", "ndjson": "jsonl"}


def spoilt(key: int, fault: str | None) -> pl.DataFrame:
    row = payments(1, key)
    return row.with_columns(pl.lit(BAD[fault], row.schema[fault]).alias(fault)) if fault else row


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    files=st.lists(
        st.lists(st.tuples(st.integers(0, 8), st.sampled_from([None, *BAD])), max_size=12),
        min_size=1,
        max_size=3,
    ),
    formats=st.lists(st.sampled_from(list(ENDINGS)), min_size=3, max_size=3),
)
def test_every_row_read_is_accepted_rejected_or_a_duplicate(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    files: list[list[tuple[int, str | None]]],
    formats: list[str],
) -> None:
    # Small slices, so that equal keys meet across slices as well.
    monkeypatch.setattr(landed_rows, "SLICE_ROWS", 4)
    root = tmp_path_factory.mktemp("ingest")
    place = Place(root / "landing", Lake(str(root / "lake")))
    for number, (rows, ending) in enumerate(zip(files, formats, strict=False)):
        frame = pl.concat([payments(1).clear(), *(spoilt(key, fault) for key, fault in rows)])
        getattr(frame, f"write_{ending}")(place.day() / f"{number}.{ENDINGS[ending]}")
    report = place.take()
    good = {key for rows in files for key, fault in rows if fault is None}
    read = sum(len(rows) for rows in files)
    assert report.rows_read == read
    assert report.rows_accepted + report.rows_rejected + report.duplicates == read
    assert set(place.raw()["payment_id"]) == {f"p{key}" for key in good}
    assert place.raw().height == len(good) == report.rows_accepted
    assert (
        place.quarantine().filter(pl.col("row_number").is_not_null()).height == report.rows_rejected
    )
