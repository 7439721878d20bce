"""Monitoring: a day's figures are those of its log and its labels; drift is judged by the days."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from agora.dataset import Split
from agora.evaluation import Estimate
from agora.monitoring import Champion, decay_found, drift_found, monitor, read, ripened
from agora.monitoring.samples import kept
from agora.monitoring.summary import figures, markdown
from agora.outcomes import join_outcomes
from agora.stores.drain import PARTITION
from agora.stores.lake import Lake, Window
from agora.systems.fraud.outcomes import cost, outcomes
from tests.logged import logged
from tests.systems import synthetic
from tests.toy_system import toy_system

if TYPE_CHECKING:
    from pathlib import Path

    from agora.system import System

DAY = date(2026, 5, 4)
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
RIPE = NOON + timedelta(days=20)
ROWS = 400
SPLIT = Split(train_days=60, calibration_days=1, test_days=3, label_delay=timedelta(days=1))
LATENCIES = {"gateway": 2_000_000, "inference": 3_000_000, "inference/light": 1_000_000}


@pytest.fixture
def system() -> System:
    return replace(
        toy_system(), outcomes=outcomes, cost=cost, flagged=("review", "decline"), split=SPLIT
    )


@pytest.fixture
def lake(tmp_path: Path, system: System) -> Lake:
    """No labels, and an empty table of outcomes."""
    lake = Lake(str(tmp_path / "lake"))
    time = pl.Datetime("us", "UTC")
    schema = {
        "payment_id": pl.String, "is_fraud": pl.Boolean, "source": pl.String, "event_at": time,
        "arrived_at": time,
    }  # fmt: skip
    lake.write("marts/payment_labels", pl.DataFrame(schema=schema))
    join_outcomes(system, lake)
    return lake


def answer(
    lake: Lake, system: System, day: date = DAY, table: str = "predictions/toy", **more: Any
) -> pl.DataFrame:
    """A day's predictions and, for each payment, whether it was a fraud."""
    rng = np.random.default_rng(day.toordinal())
    frame = synthetic.rows(system, ROWS, seed=day.toordinal()).with_columns(
        payment_id=pl.format("{}-{}", pl.lit(str(day)), pl.int_range(pl.len())),
        amount=pl.lit(100.0),
        event_at=pl.lit(NOON + (day - DAY)),
    )
    scores = 1 / (1 + np.exp(-rng.normal(-2, 2, ROWS)))
    rows = logged(
        system,
        frame.with_columns(**more),
        day,
        scores=scores,
        decisions=np.where(scores > 0.5, "decline", "approve"),
        prefix=table,
        latencies=LATENCIES if table.startswith("predictions") else {},
        tier=pl.lit("light"),
        degraded=pl.int_range(pl.len()) % 10 == 0,
        fallbacks=pl.when(pl.int_range(pl.len()) % 10 == 0)
        .then(pl.lit(["store"]))
        .otherwise(pl.lit([], dtype=pl.List(pl.String))),
    )
    lake.write(table, rows, window=Window(PARTITION, day, day + timedelta(days=1)))
    return frame.select("payment_id", "event_at").with_columns(
        is_fraud=pl.Series(rng.random(ROWS) < scores), score=pl.Series(scores)
    )


def label(lake: Lake, *answers: pl.DataFrame) -> None:
    """Chargebacks of the frauds, two days later."""
    frauds = pl.concat(answers).filter("is_fraud")
    at = pl.col("event_at") + timedelta(days=2)
    frame = frauds.select("payment_id", "is_fraud", source=pl.lit("chargeback"))
    lake.write(
        "marts/payment_labels",
        frame.with_columns(frauds.select(event_at=at, arrived_at=at)),
    )


def train(lake: Lake, system: System, days: int = 64) -> None:
    """A training set of as many days before the day."""
    rows = [
        synthetic.rows(system, 150, seed=number).with_columns(
            event_at=pl.lit(NOON - timedelta(days=number))
        )
        for number in range(days, 0, -1)
    ]
    frame = pl.concat(rows).with_row_index("row_number").cast({"row_number": pl.Int64})
    lake.write("toy/training_set", frame)


def values(lake: Lake, metric: str, day: date = DAY) -> dict[str, float | None]:
    rows = read(lake, "toy", day, day, metric)
    return dict(rows.select("slice", "value").iter_rows())


def test_a_days_traffic_is_that_of_its_log(lake: Lake, system: System) -> None:
    answer(lake, system)
    answer(lake, system, table="toy/predictions")
    monitor(system, lake, DAY, RIPE)
    assert values(lake, "predictions") == {"live": ROWS, "batch": ROWS}
    assert values(lake, "degraded_share")["live"] == pytest.approx(0.1)
    assert values(lake, "fallback_share")["live/store"] == pytest.approx(0.1)
    assert values(lake, "tier_share")["live/light"] == 1.0
    shares = values(lake, "decision_share")
    assert shares["live/approve"] + shares["live/decline"] == pytest.approx(1.0)  # type: ignore[operator]
    latencies = values(lake, "latency_p99_ms")
    assert {part: value for part, value in latencies.items() if part.startswith("live")} == {
        "live/gateway": 2.0, "live/inference": 3.0, "live/inference/light": 1.0, "live/total": 5.0,
    }  # fmt: skip
    absent = values(lake, "feature_absent_share")["live/cards__daily@1"]
    assert absent == pytest.approx(synthetic.UNKNOWN_SHARE, abs=0.06)


def test_performance_ripens_with_the_labels(lake: Lake, system: System) -> None:
    truth = answer(lake, system)
    label(lake, truth)
    early = NOON + timedelta(hours=14)
    join_outcomes(system, lake, early)
    monitor(system, lake, DAY, early)
    assert values(lake, "labelled_share") == {"live": 0.0}
    assert values(lake, "average_precision") == {}
    estimated = read(lake, "toy", DAY, DAY, "estimated_precision").row(0, named=True)
    join_outcomes(system, lake)
    assert ripened(system, lake, DAY + timedelta(days=1), RIPE) == [DAY]
    flagged = truth.filter(pl.col("score") > 0.5)
    assert values(lake, "precision") == {"live/final": pytest.approx(flagged["is_fraud"].mean())}
    assert estimated["low"] <= flagged["is_fraud"].mean() <= estimated["high"]
    assert values(lake, "observed_positives")["live/final"] == truth["is_fraud"].sum()
    missed = truth.filter((pl.col("score") <= 0.5) & pl.col("is_fraud")).height
    wrongly = flagged.height - flagged["is_fraud"].sum()
    assert values(lake, "cost")["live/final"] == pytest.approx(
        (115.0 * missed + 15.0 * wrongly) / ROWS
    )
    assert values(lake, "predictions") == {"live": ROWS}
    assert ripened(system, lake, DAY + timedelta(days=1), RIPE) == []


def test_the_champion_has_decayed_when_labels_say_less_than_its_report(
    lake: Lake, system: System
) -> None:
    days = [DAY - timedelta(days=number) for number in range(1, 4)]
    label(lake, *(answer(lake, system, day) for day in (*days, DAY)))
    join_outcomes(system, lake)
    for promised, decayed in ((0.99, True), (0.2, False)):
        estimate = Estimate(promised, promised - 0.01, promised + 0.01)
        champion = Champion(version="1", metric="average_precision", estimate=estimate)
        monitor(system, lake, DAY, RIPE, champion=champion)
        found = decay_found(lake, "toy", DAY)
        assert found is not None
        assert found.decayed is decayed
        assert found.judged
        assert found.metric == "average_precision"
        assert found.reported.value == pytest.approx(promised)
    assert decay_found(lake, "toy", DAY - timedelta(days=9)) is None


def test_a_model_that_answered_nothing_yet_has_not_decayed(lake: Lake, system: System) -> None:
    label(lake, answer(lake, system))
    join_outcomes(system, lake)
    champion = Champion(version="2", metric="average_precision", estimate=Estimate(0.9, 0.8, 1.0))
    monitor(system, lake, DAY, RIPE, champion=champion)
    found = decay_found(lake, "toy", DAY)
    assert found is not None
    assert not found.judged
    assert not found.decayed


def test_drift_is_judged_against_the_days_of_the_training_set(lake: Lake, system: System) -> None:
    train(lake, system)
    answer(lake, system, amount=pl.col("card_payment_count_1d").fill_nan(0) * 0 + 5_000.0)
    written = monitor(system, lake, DAY, RIPE).drift
    found = drift_found(lake, "toy", DAY)
    assert found.alarmed
    assert found.features == written.features == ("amount",)
    assert found.p_value == pytest.approx(written.p_value)
    assert found.reference_days == 57
    assert not drift_found(lake, "toy", DAY - timedelta(days=1)).judged


def test_what_is_kept_of_a_day_names_nobody(lake: Lake, system: System) -> None:
    answer(lake, system)
    monitor(system, lake, DAY, RIPE)
    held = lake.read("toy/monitoring_samples")
    assert not {"payment_id", "customer_id", "card_id"} & set(held["column"])
    assert kept(lake, "toy", DAY, ["amount", "channel"]).columns == ["day", "amount", "channel"]


def test_a_day_without_predictions_leaves_no_row(lake: Lake, system: System) -> None:
    answer(lake, system)
    assert monitor(system, lake, DAY + timedelta(days=1), RIPE).measures.is_empty()
    assert not lake.exists("toy/monitoring")


def test_a_day_monitored_twice_has_its_rows_once(lake: Lake, system: System) -> None:
    answer(lake, system)
    for _ in range(2):
        monitor(system, lake, DAY, RIPE)
    rows = read(lake, "toy", DAY, DAY)
    assert rows.select("metric", "slice").is_duplicated().sum() == 0


def test_the_summary_says_every_figure(lake: Lake, system: System) -> None:
    answer(lake, system)
    found = monitor(system, lake, DAY, RIPE)
    assert figures(found.measures)["live/degraded_share"] == pytest.approx(0.1)
    words = markdown(found.measures, found.drift)
    assert "| degraded_share | live | 0.1 |" in words
    assert words.startswith("Drift not judged: 0 earlier days")
