"""Outcomes: what became known of each prediction, once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from agora.outcomes import join_outcomes
from agora.stores.drain import SCHEMA as PREDICTIONS
from agora.stores.lake import Lake
from agora.systems.fraud import SYSTEM as FRAUD
from tests.toy_system import toy_system

if TYPE_CHECKING:
    from pathlib import Path

    from agora.system import System

DAY = date(2026, 3, 1)
MORNING = datetime(2026, 3, 1, 8, tzinfo=UTC)
AS_OF = MORNING + timedelta(days=60)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def system() -> System:
    return replace(toy_system(), outcomes=FRAUD.outcomes)


def log(lake: Lake, table: str, *predictions: tuple[str, str]) -> None:
    """Predictions of (prediction, payment), all of one morning."""
    frame = pl.DataFrame(
        {"prediction_id": [p for p, _ in predictions], "request_id": [r for _, r in predictions]}
    ).with_columns(predicted_at=MORNING, prediction_date=DAY, model_version=pl.lit("1"))
    columns = [
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in PREDICTIONS.items()
    ]
    rows = frame.select(columns)
    if lake.exists(table):
        rows = pl.concat([lake.read(table).cast(PREDICTIONS), rows])
    lake.write(table, rows, partition_by="prediction_date")


def label(lake: Lake, *events: tuple[str, str, bool, int]) -> None:
    """Label events of (payment, source, is_fraud, hours after the morning)."""
    frame = pl.DataFrame(
        {
            "payment_id": [event[0] for event in events],
            "source": [event[1] for event in events],
            "is_fraud": [event[2] for event in events],
            "arrived_at": [MORNING + timedelta(hours=event[3]) for event in events],
        }
    ).with_columns(pl.col("arrived_at").alias("event_at"))
    lake.write("marts/payment_labels", frame)


def joined(lake: Lake) -> list[tuple[Any, ...]]:
    frame = lake.read("toy/outcomes", ["prediction_id", "log", "source", "label"])
    return sorted(frame.rows())


def test_each_prediction_gets_each_label_event_once(lake: Lake, system: System) -> None:
    log(lake, "predictions/toy", ("live-1", "a"), ("live-2", "a"), ("live-3", "b"))
    log(lake, "toy/predictions", ("batch-1", "a"), ("batch-2", "c"))
    label(
        lake, ("a", "verdict", False, 2), ("a", "chargeback", True, 90), ("x", "verdict", True, 1)
    )
    first = join_outcomes(system, lake, AS_OF)
    assert joined(lake) == sorted(
        (prediction, log_, source, value)
        for prediction, log_ in (("live-1", "live"), ("live-2", "live"), ("batch-1", "batch"))
        for source, value in (("verdict", 0.0), ("chargeback", 1.0))
    )
    assert (first.added, first.events, first.unmatched_events) == (6, 3, 1)
    assert (first.predictions, first.unlabelled) == (5, 2)
    assert join_outcomes(system, lake, AS_OF).added == 0
    assert len(joined(lake)) == 6


def test_labels_and_predictions_that_come_later_are_joined_then(lake: Lake, system: System) -> None:
    log(lake, "predictions/toy", ("live-1", "a"))
    label(lake, ("a", "verdict", True, 2), ("a", "chargeback", True, 90), ("b", "verdict", True, 3))
    assert join_outcomes(system, lake, MORNING + timedelta(hours=5)).added == 1
    assert join_outcomes(system, lake, AS_OF).added == 1
    log(lake, "predictions/toy", ("live-2", "b"))
    assert join_outcomes(system, lake, AS_OF).added == 1
    assert [row[0] for row in joined(lake)] == ["live-1", "live-1", "live-2"]


def test_a_label_that_names_its_prediction_goes_to_that_one_alone(
    lake: Lake, system: System
) -> None:
    log(lake, "predictions/toy", ("live-1", "a"), ("live-2", "a"))
    named = pl.DataFrame(
        {"prediction_id": ["live-2"], "request_id": [None], "label": [1.0], "source": ["analyst"]}
    ).with_columns(event_at=MORNING, arrived_at=MORNING + timedelta(hours=1))
    join_outcomes(replace(system, outcomes=lambda *_: named), lake, AS_OF)
    assert joined(lake) == [("live-2", "live", "analyst", 1.0)]


def test_joins_at_the_same_time_add_nothing_twice(lake: Lake, system: System) -> None:
    log(lake, "predictions/toy", *((f"live-{i}", f"{i}") for i in range(200)))
    label(lake, *((f"{i}", "verdict", i % 2 == 0, 3) for i in range(200)))
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(join_outcomes, system, lake, AS_OF) for _ in range(4)]
    assert sum(run.result().added for run in runs) == 200
    assert len({row[0] for row in joined(lake)}) == len(joined(lake)) == 200


def test_without_predictions_or_labels_the_table_is_empty(lake: Lake, system: System) -> None:
    counts = join_outcomes(replace(system, outcomes=None), lake)
    assert counts.added == counts.predictions == counts.events == 0
    assert joined(lake) == []


def test_fraud_costs_what_its_decisions_cost() -> None:
    frame = pl.DataFrame(
        {
            "decision": ["approve", "approve", "decline", "unheard of"],
            "label": [1.0, 0.0, 0.0, 1.0],
            "request": ['{"amount": 100.0}'] * 4,
        }
    )
    assert FRAUD.cost is not None
    assert FRAUD.cost(frame).to_list() == [115.0, 0.0, 15.0, None]
