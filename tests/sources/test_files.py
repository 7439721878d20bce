"""Users' own files: what does not fit is said per column, and nothing is lost or landed twice."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from agora.ingest import IngestReport, ingest
from agora.sources.files import LandingError, land_files
from agora.stores.lake import Lake
from agora.tables import PAYMENTS

DAY = date(2026, 1, 1)
HEADER = "payment_id,customer_id,card_id,merchant_id,amount,currency,channel,event_at"
GOOD = "p1,c1,k1,m1,10.5,EUR,web,2026-01-01T10:00:00Z"
LATE = "p2,c1,k1,m1,11.5,EUR,app,2026-01-02 23:59"
DOCUMENT = Path(__file__).parents[2] / "docs" / "bring-your-data.md"


def written(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "mine.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def taken(root: Path, days: int = 2) -> IngestReport:
    lake = Lake(str(root / "lake"))
    return ingest(lake, str(root / "landing"), PAYMENTS, DAY, DAY + timedelta(days=days))


def landed(root: Path) -> list[Path]:
    return sorted(path for path in (root / "landing").rglob("*") if path.is_file())


def test_fitting_rows_land_by_arrival_day_and_are_taken(tmp_path: Path) -> None:
    report = land_files(PAYMENTS, written(tmp_path, GOOD, LATE), tmp_path / "landing")
    assert (report.rows, report.misfits) == (2, 0)
    assert report.days == [DAY, DAY + timedelta(days=1)]
    assert taken(tmp_path).rows_accepted == 2
    assert any("arrived_at: not in the file; taken to be event_at" in note for note in report.notes)


def test_the_same_file_landed_twice_changes_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD, "broken", LATE)
    for arrived_at in ("column", "now"):
        land_files(PAYMENTS, path, tmp_path / "landing", arrived_at=arrived_at)
        before = {file: file.stat().st_mtime_ns for file in landed(tmp_path)}
        again = land_files(PAYMENTS, path, tmp_path / "landing", arrived_at=arrived_at)
        assert again.landed == []
        assert "nothing new" in str(again)
        assert {file: file.stat().st_mtime_ns for file in landed(tmp_path)} == before


def test_what_does_not_fit_is_said_per_column_with_examples(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "p1,c1,k1,m1,-3,EUR,fax,2026-01-01,x",
        "p2,c1,k1,m1,many,EUR,web,2026-01-01,x",
        "p3,too few",
        header=HEADER + ",devise_id",
    )
    report = land_files(PAYMENTS, path, tmp_path / "landing")
    count, examples = report.columns["amount"]
    assert count == 2
    assert examples == [
        "row 1: -3.0 is below the minimum 0",
        "row 2: many is not a finite number",
    ]
    assert report.columns["channel"] == (1, ["row 1: 'fax' is not one of web, app, in_store"])
    assert report.columns["line"] == (1, ["row 3: has 2 fields, the header has 9"])
    assert "devise_id: not in the contract, ignored; did you mean 'device_id'?" in report.notes
    assert "amount: 2 rows do not fit, such as row 1: -3.0" in str(report)


def test_rows_that_do_not_fit_end_in_quarantine(tmp_path: Path) -> None:
    path = written(
        tmp_path, GOOD, GOOD.replace("10.5", "-1"), "broken", GOOD.replace("2026-01-01T", "soon ")
    )
    land_files(PAYMENTS, path, tmp_path / "landing")
    report = taken(tmp_path)
    assert (report.rows_read, report.rows_accepted, report.rows_rejected) == (4, 1, 3)
    payloads = Lake(str(tmp_path / "lake")).read("quarantine/payments")["payload"].to_list()
    assert "broken" in payloads


def test_strict_lands_nothing_if_one_row_does_not_fit(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD, GOOD.replace("10.5", "-1"))
    with pytest.raises(LandingError, match=r"(?s)amount: 1 rows do not fit.*nothing was"):
        land_files(PAYMENTS, path, tmp_path / "landing", strict=True)
    assert landed(tmp_path) == []


def test_missing_columns_are_named_and_nothing_lands(tmp_path: Path) -> None:
    path = written(tmp_path, "1,2,3", header="Payment ID,customer,amount")
    with pytest.raises(LandingError) as caught:
        land_files(PAYMENTS, path, tmp_path / "landing")
    assert "mine.csv: payment_id: the column is missing; did you mean 'Payment ID'?" in str(
        caught.value
    )
    assert "mine.csv: currency: the column is missing" in str(caught.value)
    assert landed(tmp_path) == []


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_a_folder_of_any_format_lands_whole(tmp_path: Path, ending: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    times = {"event_at": pl.lit(datetime(2026, 1, 1, 10, tzinfo=UTC))}
    for number in range(2):
        frame = pl.read_csv(written(tmp_path, GOOD)).with_columns(
            payment_id=pl.lit(f"p{number}"), **times, arrived_at=times["event_at"]
        )
        writer = {"csv": "write_csv", "parquet": "write_parquet", "jsonl": "write_ndjson"}[ending]
        getattr(frame, writer)(folder / f"{number}.{ending}")
    report = land_files(PAYMENTS, folder, tmp_path / "landing")
    assert (report.files, report.rows, report.misfits) == (2, 2, 0)
    assert taken(tmp_path).rows_accepted == 2


def test_arrival_now_lands_today(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    report = land_files(PAYMENTS, written(tmp_path, GOOD), tmp_path / "landing", arrived_at="now")
    assert before.date() <= report.days[0] <= datetime.now(UTC).date()
    assert taken(tmp_path).files == 0


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.csv", None, "no such file"),
        ("empty.csv", b"", "the file is empty"),
        ("sheet.xlsx", b"PK", "unknown ending"),
        ("half.parquet", b"PAR1", "truncated or damaged"),
    ],
)
def test_files_that_cannot_be_read_are_refused_by_name(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(LandingError, match=f"{re.escape(name)}.*{said}"):
        land_files(PAYMENTS, tmp_path / name, tmp_path / "landing")


def test_an_unknown_way_of_arriving_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LandingError, match="'later' is not one of column, event_at, now"):
        land_files(PAYMENTS, written(tmp_path, GOOD), tmp_path / "landing", arrived_at="later")


def test_the_documented_example_says_what_the_document_says(tmp_path: Path) -> None:
    blocks = re.findall(r"```(\w+)\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    (source,) = [text for kind, text in blocks if kind == "csv"]
    (said,) = [text for kind, text in blocks if kind == "text"]
    path = tmp_path / "mine.csv"
    path.write_text(source)
    report = land_files(PAYMENTS, path, tmp_path / "landing")
    assert str(report).splitlines() == said.splitlines()
    result = taken(tmp_path)
    assert (result.rows_accepted, result.rows_rejected) == (2, 2)
