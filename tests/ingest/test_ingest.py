"""Ingestion: what lands is in raw once, in the day of its arrival."""

from __future__ import annotations

import gzip
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from agora.ingest import ingest, landed_days, landing_signatures
from agora.tables import PAYMENTS
from tests.ingest.place import DAY, MIDNIGHT, Place, payments

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_rows_land_in_raw_with_their_day_and_file(place: Place) -> None:
    payments(3).write_parquet(place.day() / "a.parquet")
    report = place.take()
    assert (report.files, report.rows_read, report.rows_accepted, report.rows_rejected) == (
        1,
        3,
        3,
        0,
    )
    held = place.raw()
    assert held.select(payments(3).columns).equals(payments(3))
    assert held["arrival_date"].unique().to_list() == [DAY]
    assert held["source_file"].unique().to_list() == ["payments/dt=2026-01-01/a.parquet"]
    assert report.version == place.lake.version("raw/payments")


WRITERS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    "a.csv": lambda frame, path: frame.write_csv(path),
    "a.csv.gz": lambda frame, path: path.write_bytes(gzip.compress(frame.write_csv().encode())),
    "a.jsonl": lambda frame, path: frame.write_ndjson(path),
    "a.json": lambda frame, path: frame.write_ndjson(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_rows_as_parquet(place: Place, name: str) -> None:
    rows = payments(50).with_columns(country=pl.when(pl.col("amount") < 10).then(pl.lit("FI")))
    rows.write_parquet(place.day() / "a.parquet")
    place.take()
    expected = place.raw().drop("source_file")
    (place.day() / "a.parquet").unlink()
    WRITERS[name](rows, place.day() / name)
    report = place.take()
    assert report.rows_accepted == 50
    assert place.raw().drop("source_file").equals(expected)


def test_a_file_taken_twice_changes_nothing(place: Place) -> None:
    pl.concat([payments(5), payments(1, 9).with_columns(amount=-1.0)]).write_parquet(
        place.day() / "a.parquet"
    )
    first = place.take()
    before = place.raw(), place.quarantine()
    second = place.take()
    assert (second.rows_accepted, second.rows_rejected) == (
        first.rows_accepted,
        first.rows_rejected,
    )
    assert place.raw().equals(before[0])
    assert place.quarantine().equals(before[1])


def test_the_same_file_under_two_names_counts_as_duplicates(place: Place) -> None:
    payments(5).write_parquet(place.day() / "a.parquet")
    payments(5).write_csv(place.day() / "b.csv")
    report = place.take()
    assert (report.rows_read, report.rows_accepted, report.duplicates, report.rows_rejected) == (
        10,
        5,
        5,
        0,
    )
    assert place.raw().height == 5


def test_of_two_values_for_one_arrival_the_later_file_stands(place: Place) -> None:
    payments(1).write_parquet(place.day() / "a.parquet")
    payments(1).with_columns(amount=99.0).write_parquet(place.day() / "b.parquet")
    report = place.take()
    assert place.raw()["amount"].to_list() == [99.0]
    rejected = place.quarantine()
    assert rejected["source_file"].to_list() == ["payments/dt=2026-01-01/a.parquet"]
    assert "payment_id, arrived_at" in rejected["reasons"][0][0]
    assert (report.rows_accepted, report.rows_rejected, report.duplicates) == (1, 1, 0)


def test_versions_of_a_row_that_arrived_apart_are_all_kept(place: Place) -> None:
    later = payments(1).with_columns(
        arrived_at=pl.col("arrived_at") + timedelta(hours=5), amount=7.0
    )
    pl.concat([payments(1), later]).write_parquet(place.day() / "a.parquet")
    place.take()
    assert place.raw()["amount"].to_list() == [0.0, 7.0]


def test_late_rows_belong_to_the_day_of_their_arrival(place: Place) -> None:
    late = payments(1).with_columns(event_at=pl.lit(MIDNIGHT - timedelta(days=40)))
    late.write_parquet(place.day() / "a.parquet")
    place.take()
    assert place.raw()["arrival_date"].to_list() == [DAY]


def test_a_file_without_arrival_times_takes_them_from_the_event(place: Place) -> None:
    rows = payments(2).drop("arrived_at")
    rows[1:].write_parquet(place.day() / "b.parquet")
    rows[:1].with_columns(event_at=pl.lit(MIDNIGHT - timedelta(days=3))).write_parquet(
        place.day() / "a.parquet"
    )
    place.take()
    assert place.raw()["arrived_at"].to_list() == [MIDNIGHT, rows["event_at"][1]]


def test_unfinished_and_hidden_files_are_not_read(place: Place) -> None:
    for name in ("a.parquet.tmp", ".b.parquet", "_SUCCESS"):
        (place.day() / name).write_bytes(b"half")
    report = place.take()
    assert report.files == 0
    assert report.empty_days == (DAY,)


def test_a_header_without_rows_is_no_fault(place: Place) -> None:
    payments(1).clear().write_csv(place.day() / "a.csv")
    payments(1).clear().write_parquet(place.day() / "b.parquet")
    report = place.take()
    assert (report.files, report.files_rejected, report.rows_read) == (2, 0, 0)


def test_a_day_whose_files_are_gone_becomes_empty(place: Place) -> None:
    payments(2).write_parquet(place.day() / "a.parquet")
    payments(1, day=DAY + timedelta(days=1)).write_parquet(
        place.day(DAY + timedelta(days=1)) / "a.parquet"
    )
    place.take(days=2)
    (place.day() / "a.parquet").unlink()
    report = place.take(days=2)
    assert report.empty_days == (DAY,)
    assert place.raw()["arrival_date"].to_list() == [DAY + timedelta(days=1)]


def test_a_window_leaves_other_days_alone(place: Place) -> None:
    for n in range(3):
        day = DAY + timedelta(days=n)
        payments(1, first=n, day=day).write_parquet(place.day(day) / "a.parquet")
    place.take(days=3)
    payments(1, first=7, day=DAY + timedelta(days=1)).write_parquet(
        place.day(DAY + timedelta(days=1)) / "a.parquet"
    )
    place.take(start=DAY + timedelta(days=1))
    assert place.raw()["payment_id"].to_list() == ["p0", "p2", "p7"]


def test_unknown_columns_are_ignored_and_reported(place: Place) -> None:
    payments(1).with_columns(mood=pl.lit("good")).write_parquet(place.day() / "a.parquet")
    assert place.take().unexpected_columns == ("mood",)
    assert "mood" not in place.raw().columns


def test_the_commit_names_the_files_and_the_run(place: Place) -> None:
    payments(1).write_parquet(place.day() / "a.parquet")
    ingest(place.lake, str(place.landing), PAYMENTS, DAY, DAY + timedelta(days=1), {"run": "42"})
    commit = place.lake.table("raw/payments").history(1)[0]
    assert commit["run"] == "42"
    assert "payments/dt=2026-01-01/a.parquet" in commit["files"]


def test_a_failing_commit_leaves_the_last_good_state(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    payments(1).write_parquet(place.day() / "a.parquet")
    place.take()
    before = place.raw()
    payments(5).write_parquet(place.day() / "a.parquet")
    with monkeypatch.context() as broken:
        broken.setattr("agora.ingest.rejects.Rejects.reader", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            place.take()
    assert place.raw().equals(before)
    assert place.take().rows_accepted == 5


def test_an_empty_window_is_refused(place: Place) -> None:
    with pytest.raises(ValueError, match="holds no day"):
        place.take(days=0)


def test_signatures_change_with_the_files_of_their_day(place: Place) -> None:
    assert landing_signatures(str(place.landing)) == {}
    payments(1).write_parquet(place.day() / "a.parquet")
    before = landing_signatures(str(place.landing))
    assert list(before) == ["payments"]
    assert landing_signatures(str(place.landing)) == before
    (place.day() / "b.parquet.tmp").write_bytes(b"half")
    assert landing_signatures(str(place.landing)) == before
    payments(2).write_parquet(place.day() / "a.parquet")
    assert landing_signatures(str(place.landing)) != before
    assert landed_days(str(place.landing), PAYMENTS) == [DAY]
