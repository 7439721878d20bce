"""Failed checks and runs are alerts as long as their newest result is a failure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from agora.settings import Settings
from agora.systems.fraud import SYSTEM as FRAUD
from sensors.alerts import alert_sensor, failed_checks, failed_runs
from tests.toy_system import toy_system

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOY = replace(toy_system(), budgets=FRAUD.budgets)
KEYS = {
    dg.AssetCheckKey(dg.AssetKey(path), name)
    for path, name in (
        (["toy", "monitoring"], "drift"),
        (["other", "monitoring"], "drift"),
        (["marts", "payments"], "primary_key_payments"),
    )
}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as held:
        yield held


def evaluated(instance: dg.DagsterInstance, *path: str, name: str, passed: bool) -> None:
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(path), check_name=name, passed=passed, metadata={},
            description="" if passed else "amount moved",
        )
    )  # fmt: skip


def test_a_failed_check_is_an_alert_until_it_holds_again(instance: dg.DagsterInstance) -> None:
    assert list(failed_checks(instance, KEYS, TOY)) == []
    evaluated(instance, "toy", "monitoring", name="drift", passed=False)
    evaluated(instance, "other", "monitoring", name="drift", passed=False)
    (alert,) = failed_checks(instance, KEYS, TOY)
    assert alert.key == "toy/drift/toy/monitoring/drift"
    assert alert.text == "check toy/monitoring/drift failed: amount moved"
    evaluated(instance, "toy", "monitoring", name="drift", passed=True)
    assert list(failed_checks(instance, KEYS, TOY)) == []


def test_a_failed_test_of_a_model_is_a_warehouse_alert(instance: dg.DagsterInstance) -> None:
    evaluated(instance, "marts", "payments", name="primary_key_payments", passed=False)
    (alert,) = failed_checks(instance, KEYS, TOY)
    assert alert.name == "warehouse"


def test_a_failed_run_is_an_alert_until_the_next_one(instance: dg.DagsterInstance) -> None:
    for status, count in (
        (dg.DagsterRunStatus.FAILURE, 1), (dg.DagsterRunStatus.SUCCESS, 0),
    ):  # fmt: skip
        instance.add_run(dg.DagsterRun(job_name="toy_training", status=status))
        assert len(list(failed_runs(instance, TOY))) == count


def test_a_tick_tells_what_is_new_and_no_more(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    sensor = alert_sensor(TOY, Settings(home=tmp_path))
    instance.add_run(dg.DagsterRun(job_name="daily", status=dg.DagsterRunStatus.FAILURE))
    said = [sensor(dg.build_sensor_context(instance=instance)).skip_message for _ in range(2)]
    assert said == [
        "1 alerts; told: toy/failed-run/daily firing",
        "1 alerts; told: nothing new",
    ]
