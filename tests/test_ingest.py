"""Ingestion: what lands is in raw once, or in quarantine with its reasons."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agora.ingest import ingest, landed_days, landing_signatures
from agora.stores import landed_rows
from agora.stores.lake import Lake
from agora.tables import PAYMENTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agora.ingest import IngestReport

DAY = date(2026, 1, 1)
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


def payments(rows: int, first: int = 0, day: date = DAY) -> pl.DataFrame:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    numbers = range(first, first + rows)
    times = [start + timedelta(seconds=number) for number in numbers]
    return pl.DataFrame(
        {
            "payment_id": [f"p{number}" for number in numbers],
            "customer_id": "c1",
            "card_id": "k1",
            "merchant_id": "m1",
            "amount": [float(number) for number in numbers],
            "currency": "EUR",
            "channel": "web",
            "event_at": times,
            "arrived_at": times,
        },
        schema_overrides={
            "payment_id": pl.String,
            "amount": pl.Float64,
            "event_at": pl.Datetime("us", "UTC"),
            "arrived_at": pl.Datetime("us", "UTC"),
        },
    )


@dataclass
class Place:
    landing: Path
    lake: Lake

    def day(self, day: date = DAY) -> Path:
        folder = self.landing / "payments" / f"dt={day}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def take(self, days: int = 1, start: date = DAY) -> IngestReport:
        return ingest(self.lake, str(self.landing), PAYMENTS, start, start + timedelta(days=days))

    def raw(self) -> pl.DataFrame:
        return self.lake.read("raw/payments").sort("payment_id", "arrived_at")

    def quarantine(self) -> pl.DataFrame:
        return self.lake.read("quarantine/payments").sort("source_file", "row_number")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "landing", Lake(str(tmp_path / "lake")))


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


def test_late_rows_belong_to_the_day_of_their_arrival(place: Place) -> None:
    late = payments(1).with_columns(event_at=pl.lit(MIDNIGHT - timedelta(days=40)))
    late.write_parquet(place.day() / "a.parquet")
    place.take()
    assert place.raw()["arrival_date"].to_list() == [DAY]


def test_rows_of_another_day_are_rejected(place: Place) -> None:
    payments(1, day=DAY + timedelta(days=1)).write_parquet(place.day() / "a.parquet")
    assert place.take().rows_rejected == 1
    assert "outside of the folder's day 2026-01-01" in place.quarantine()["reasons"][0][0]


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


BAD: dict[str, Any] = {"amount": -1.0, "channel": "fax", "customer_id": None, "currency": "EURO"}
ENDINGS = {"parquet": "parquet", "csv": "csv", "ndjson": "jsonl"}


def spoilt(key: int, fault: str | None) -> pl.DataFrame:
    row = payments(1, key)
    return row.with_columns(pl.lit(BAD[fault], row.schema[fault]).alias(fault)) if fault else row


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
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
