from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from agora.simulator import Mix, Params, simulate
from agora.simulator.simulation import build
from agora.tables import TABLES
from tests.simulator.marketplaces import SMALL

if TYPE_CHECKING:
    from pathlib import Path


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path):
    for run in ("one", "two"):
        simulate(SMALL, tmp_path / run / "landing", tmp_path / run / "truth")
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*")]
    assert len([name for name in files if name.suffix == ".parquet"]) > SMALL.days
    for name in files:
        if (tmp_path / "one" / name).is_file():
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "rows", "digest"),
    [
        ("customers", 305, "8f995544b939433c"),
        ("merchants", 61, "7e0570e2523005a3"),
        ("cards", 399, "f2bfd67812d37651"),
        ("devices", 571, "e4024f57d2d305ee"),
        ("products", 624, "6d10c5b4b2b69a8d"),
        ("orders", 4800, "fccbf654da341aef"),
        ("payments", 4804, "f4dcb11d5e090df1"),
        ("chargebacks", 17, "75b96ab0fb90c4a5"),
        ("verdicts", 56, "502efef6196ad94f"),
    ],
)
def test_visits_changed_nothing_that_was_there_before_them(
    small, name: str, rows: int, digest: str
):
    frame = small[0][name].head(rows)
    if name == "products":
        # Titles are real since; launches and stock come after the rows that there were.
        frame = frame.drop("title", "description", "stock")
    else:
        assert small[0][name].height == rows
    assert hashlib.sha256(frame.write_csv().encode()).hexdigest()[:16] == digest


def test_payments_do_not_depend_on_visits(small):
    params = replace(SMALL, sessions_per_day=50, launches_per_day=30.0, taste_drift=2.0)
    tables, truth = build(params)
    for name in ("customers", "merchants", "orders", "payments", "verdicts"):
        assert tables[name].equals(small[0][name]), name
    assert truth.equals(small[1])
    assert not tables["impressions"].equals(small[0]["impressions"])


def test_another_seed_gives_another_marketplace(small):
    tables, _ = build(replace(SMALL, seed=8))
    for name, frame in tables.items():
        assert not frame.equals(small[0][name]), name


def test_outcomes_can_change_without_changing_payments(small):
    tables, truth = build(replace(SMALL, chargeback_share=0.1, review_share=0.3))
    assert tables["payments"].equals(small[0]["payments"])
    assert tables["orders"].equals(small[0]["orders"])
    assert truth.equals(small[1])
    assert not tables["verdicts"].equals(small[0]["verdicts"])


def test_each_row_lies_in_the_folder_of_its_arrival_day(tmp_path: Path):
    written: list[date] = []
    summary = simulate(SMALL, tmp_path / "landing", tmp_path / "truth", written.append)
    assert written == [SMALL.start + timedelta(days=day) for day in range(SMALL.days)]
    for name, table in TABLES.items():
        rows = 0
        for path in (tmp_path / "landing" / name).glob("dt=*/part-0.parquet"):
            frame = pl.read_parquet(path, hive_partitioning=False)
            assert tuple(frame.columns) == table.names
            assert set(frame["arrived_at"].dt.date()) == {date.fromisoformat(path.parent.name[3:])}
            rows += frame.height
        assert rows == summary.rows[name] > 0, name
    assert not list(tmp_path.rglob("*.unfinished"))
    truth = pl.read_parquet(tmp_path / "truth" / "payments.parquet")
    assert truth.height == summary.payments == SMALL.payments
    assert truth["is_fraud"].sum() == summary.frauds == sum(summary.frauds_by_scheme.values())


def test_what_arrives_after_the_last_day_is_not_there_yet(tmp_path: Path, small):
    summary = simulate(SMALL, tmp_path, None)
    assert summary.rows["chargebacks"] < small[0]["chargebacks"].height
    assert {path.name for path in tmp_path.iterdir()} == set(TABLES)


@pytest.mark.parametrize(
    "params",
    [
        Params(days=1, customers=10, merchants=5, payments_per_day=1),
        Params(days=3, customers=10, merchants=5, payments_per_day=50, review_share=0.0),
        Params(days=5, payments_per_day=400, drift_at=Params().start, late_share=0.0),
        Params(days=2, customers=10, merchants=5, payments_per_day=5, launches_per_day=0),
        Params(
            days=5,
            payments_per_day=400,
            sessions_per_day=0,
            mix=Mix(0, 1, 0, 0, 0),
            fraud_share=0.01,
        ),
        Params(days=5, payments_per_day=400, mix=Mix(0, 0, 0, 0, 1), present_share=0.1),
    ],
)
def test_extreme_marketplaces_work(params: Params, tmp_path: Path):
    summary = simulate(params, tmp_path)
    assert summary.payments == params.payments
    assert summary.frauds == max(1, round(params.payments * params.fraud_share))
