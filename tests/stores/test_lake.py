"""The lake: writes that can be repeated, by several writers, without losing or bending anything."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from threading import Barrier
from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pytest
from deltalake import TableFeatures
from deltalake.exceptions import DeltaError
from pyarrow import fs

from agora.stores.lake import Lake, SchemaChangedError, Window
from agora.stores.landed_rows import read_slices
from agora.stores.landing import Landing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST = date(2026, 1, 1)
TABLE = "raw/payments"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "a lake"))


def rows(day: date, *amounts: float) -> pl.DataFrame:
    return pl.DataFrame(
        {"amount": amounts, "arrival_date": [day] * len(amounts)},
        schema={"amount": pl.Float64, "arrival_date": pl.Date},
    )


def window(day: date, days: int = 1) -> Window:
    return Window("arrival_date", day, day + timedelta(days=days))


def amounts(lake: Lake, version: int | None = None) -> list[float]:
    return sorted(lake.read(TABLE, ["amount"], version=version)["amount"])


def test_a_window_written_twice_holds_its_rows_once(lake: Lake) -> None:
    for _ in range(2):
        lake.write(TABLE, rows(FIRST, 1, 2), window=window(FIRST))
    assert amounts(lake) == [1, 2]


def test_a_window_replaces_its_days_and_no_others(lake: Lake) -> None:
    second, third = FIRST + timedelta(days=1), FIRST + timedelta(days=2)
    lake.write(
        TABLE, pl.concat([rows(FIRST, 1), rows(second, 2), rows(third, 3)]), window=window(FIRST, 3)
    )
    lake.write(TABLE, rows(second, 20), window=window(second))
    assert amounts(lake) == [1, 3, 20]


def test_an_empty_window_empties_its_days(lake: Lake) -> None:
    lake.write(TABLE, rows(FIRST, 1), window=window(FIRST))
    lake.write(TABLE, rows(FIRST), window=window(FIRST))
    assert amounts(lake) == []
    assert lake.read(TABLE).schema == rows(FIRST).schema


def test_an_empty_window_may_be_the_first_write(lake: Lake) -> None:
    lake.write(TABLE, rows(FIRST), window=window(FIRST))
    assert lake.query("select count(*) as n from raw.payments").item() == 0


def test_rows_outside_of_the_window_are_refused(lake: Lake) -> None:
    lake.write(TABLE, rows(FIRST, 1), window=window(FIRST))
    with pytest.raises(DeltaError, match="arrival_date"):
        lake.write(TABLE, rows(FIRST + timedelta(days=1), 2), window=window(FIRST))
    assert amounts(lake) == [1]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (pl.DataFrame({"amount": [1], "arrival_date": [FIRST]}), "amount is DOUBLE .* BIGINT"),
        (pl.DataFrame({"arrival_date": [FIRST]}), "amount is missing"),
    ],
)
def test_a_window_cannot_bend_the_schema(lake: Lake, changed: pl.DataFrame, said: str) -> None:
    version = lake.write(TABLE, rows(FIRST, 1.7), window=window(FIRST))
    with pytest.raises(SchemaChangedError, match=said):
        lake.write(TABLE, changed, window=window(FIRST))
    assert lake.version(TABLE) == version


def test_a_window_may_bring_a_new_column(lake: Lake) -> None:
    second = FIRST + timedelta(days=1)
    lake.write(TABLE, rows(FIRST, 1), window=window(FIRST))
    lake.write(TABLE, rows(second, 2).with_columns(country=pl.lit("FI")), window=window(second))
    held = lake.read(TABLE, ["amount", "country"]).sort("amount")
    assert held.rows() == [(1, None), (2, "FI")]


def test_a_whole_write_replaces_rows_and_schema(lake: Lake) -> None:
    lake.write(TABLE, pl.DataFrame({"amount": [1.5]}))
    lake.write(TABLE, pl.DataFrame({"country": ["FI"]}), metadata={"run": "42"})
    assert lake.read(TABLE).rows() == [("FI",)]
    assert lake.table(TABLE).history(1)[0]["run"] == "42"


def test_a_pinned_version_stays_as_it_was(lake: Lake) -> None:
    old = lake.write(TABLE, rows(FIRST, 1), window=window(FIRST))
    new = lake.write(TABLE, rows(FIRST, 2), window=window(FIRST))
    assert amounts(lake, old) == [1]
    assert amounts(lake, new) == amounts(lake) == [2]


def test_first_writers_at_once_lose_nothing(lake: Lake) -> None:
    writers = 6
    start = Barrier(writers)

    def write(number: int) -> int:
        day = FIRST + timedelta(days=number)
        start.wait()
        return lake.write(TABLE, rows(day, number), window=window(day))

    with ThreadPoolExecutor(writers) as pool:
        versions = list(pool.map(write, range(writers)))
    assert amounts(lake) == list(range(writers))
    assert len(set(versions)) == writers


def test_queries_see_lake_tables_and_given_frames(lake: Lake) -> None:
    lake.write(TABLE, rows(FIRST, 1, 2), window=window(FIRST))
    wanted = pl.DataFrame({"amount": [2.0]})
    found = lake.query("select p.* from raw.payments p join wanted using (amount)", wanted=wanted)
    assert found.rows() == [(2.0, FIRST)]
    assert lake.tables() == [TABLE]


def test_tables_that_plain_files_do_not_show_are_refused(lake: Lake) -> None:
    lake.write(TABLE, rows(FIRST, 1), window=window(FIRST))
    lake.table(TABLE).alter.add_feature(
        TableFeatures.DeletionVectors, allow_protocol_versions_increase=True
    )
    with pytest.raises(RuntimeError, match="deletionVectors"):
        lake.read(TABLE)


@pytest.fixture(scope="module")
def object_storage() -> Iterator[dict[str, str]]:
    # A process of its own: deltalake holds the interpreter's lock while it waits for an answer.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    options = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    try:
        wait_for(int(port))
        files = fs.S3FileSystem(
            access_key="test", secret_key="test", endpoint_override=options["AWS_ENDPOINT_URL"],
            region="us-east-1", allow_bucket_creation=True,
        )  # fmt: skip
        files.create_dir("bucket")
        yield options
    finally:
        server.terminate()
        server.wait()


def wait_for(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    raise TimeoutError(f"nothing answers on port {port}")


@pytest.mark.slow
def test_a_lake_on_object_storage_is_no_different(object_storage: dict[str, str]) -> None:
    lake = Lake("s3://bucket/lake", object_storage)
    assert lake.tables() == []
    second = FIRST + timedelta(days=1)
    lake.write(TABLE, rows(FIRST, 1), window=window(FIRST))
    lake.write(TABLE, rows(second, 2), window=window(second))
    lake.write(TABLE, rows(second, 3), window=window(second))
    assert lake.tables() == [TABLE]
    assert amounts(lake) == [1, 3]
    assert lake.query("select sum(amount) as total from raw.payments").item() == 4


@pytest.mark.slow
def test_landing_files_may_lie_on_object_storage(object_storage: dict[str, str]) -> None:
    endpoint = object_storage["AWS_ENDPOINT_URL"].removeprefix("http://")
    query = f"endpoint_override={endpoint}&scheme=http&region=us-east-1"
    landing = Landing.at(f"s3://test:test@bucket/landing?{query}")
    folder = f"{landing.root}/payments/dt={FIRST}"
    for name in ("a.csv", "b.csv.tmp"):
        with landing.filesystem.open_output_stream(f"{folder}/{name}") as stream:
            stream.write(b"amount\n1.5\n")
    assert landing.tables() == ["payments"]
    assert landing.days("payments") == [FIRST]
    (file,) = landing.files("payments", FIRST)
    assert (file.path, file.size) == (f"payments/dt={FIRST}/a.csv", 11)
    (part,) = read_slices(lambda: landing.open(file), file.path)
    assert part.rows["amount"].to_list() == ["1.5"]


def test_other_object_stores_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"gs://bucket.*s3://"):
        Lake("gs://bucket/lake").tables()


def test_a_connection_reads_in_utc(lake: Lake) -> None:
    with lake.connect() as connection:
        assert isinstance(connection, duckdb.DuckDBPyConnection)
        assert connection.sql("select current_setting('TimeZone')").fetchall() == [("UTC",)]
