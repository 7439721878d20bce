from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from agora.protocols import PROTOCOLS, ProtocolError, row, table_of
from agora.protocols.fraud_handbook import COUNTS, METRICS, results, run
from agora.protocols.handbook_weeks import Weeks, not_known
from agora.settings import settings

START = datetime(2021, 1, 4, tzinfo=UTC)
WEEKS = Weeks(date(2021, 1, 4), date(2021, 1, 18), 7)


def truth(rows: int = 4_000, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    minutes = np.sort(rng.integers(0, 21 * 1_440, rows))
    return pl.DataFrame(
        {
            "customer_id": pl.Series(rng.integers(0, 150, rows)).cast(pl.String),
            "event_at": [START + timedelta(minutes=int(minute)) for minute in minutes],
            "is_fraud": rng.random(rows) < 0.03,
        }
    )


@pytest.mark.parametrize("seed", range(4))
def test_known_customers_are_those_of_the_books_loop(seed: int) -> None:
    frame = truth(seed=seed)
    day = (frame["event_at"].dt.date() - START.date()).dt.total_days().to_numpy()
    customer, fraud = frame["customer_id"].to_numpy(), frame["is_fraud"].to_numpy()
    known = set(customer[(day < 7) & fraud])
    kept = []
    for test_day in range(14, 21):
        known |= set(customer[(day == test_day - 8) & fraud])
        rows = np.flatnonzero(day == test_day)
        kept.append(rows[~np.isin(customer[rows], list(known))])
    assert not_known(frame, WEEKS).equals(frame[np.concatenate(kept)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trainstart": "2018-07-25"}, "trainstart unknown"),
        ({"train_start": "25.7.2018"}, "options: Invalid isoformat"),
        ({"delay": "a week"}, "options: invalid literal"),
        ({"test_start": "2018-08-01"}, "labels are not known by then"),
    ],
)
def test_an_option_that_does_not_fit_is_named(options: dict[str, str], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        run(Path("nowhere"), options)


def test_a_path_without_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="nothing"):
        PROTOCOLS["fraud-handbook"](tmp_path / "nothing", {})


def test_a_result_says_whether_its_target_is_met() -> None:
    assert row("b", "s", "m", 0.71, target=0.71)["met"] is True
    assert row("b", "s", "m", 0.70, target=0.71)["met"] is False
    assert row("b", "s", "m", 11, target=10, exact=True)["met"] is False
    assert row("b", "s", "m", 0.5)["met"] is None
    assert table_of([row("b", "s", "m", 0.5)]).row_count == 1


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_the_books_weeks_have_the_books_counts() -> None:
    folder = settings().public_data
    if folder is None or not (folder / "fraud_handbook").exists():
        pytest.skip("AGORA_PUBLIC_DATA has no fraud_handbook; see `python -m benchmarks.public`")
    results = {found["metric"]: found for found in run(folder / "fraud_handbook", {})}
    assert {name: results[name]["value"] for name in COUNTS} == COUNTS
    assert results["average_precision"]["value"] > 0.687


def test_the_ensemble_and_each_of_its_parts_are_measured() -> None:
    from agora.systems.fraud import SYSTEM
    from tests.systems.synthetic import training_set

    made = training_set(SYSTEM, 1_500)
    metrics = {
        found["metric"]: found["value"]
        for found in results(made.train, made.calibration, made.test, WEEKS)
    }
    for metric in METRICS:
        for name in (metric, f"{metric} (light)", f"{metric} (deep)"):
            assert 0 < metrics[name] <= 1
    assert metrics["auc_roc"] != metrics["auc_roc (light)"]
    assert metrics["train_payments"] == made.train.height
