from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from agora.monitoring import table_of
from agora.settings import Settings
from agora.stores.lake import Lake
from assets.monitoring import monitoring, outcomes
from assets.partitions import range_tags
from assets.run import QUIET
from resources import resources_for
from tests.test_monitoring import DAY, RIPE, ROWS, answer, label, system, train

if TYPE_CHECKING:
    from agora.system import System

__all__ = ["system"]
pytestmark = pytest.mark.xdist_group("dagster")


@pytest.fixture
def here(tmp_path: Path, system: System) -> Settings:
    """An instance with a training set, two days of answers and their labels."""
    settings = Settings(home=tmp_path, environment="test")
    lake = Lake(settings.lake)
    train(lake, system)
    label(lake, *(answer(lake, system, DAY + timedelta(days=number)) for number in range(2)))
    return settings


def run(
    settings: Settings, system: System, instance: dg.DagsterInstance
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [outcomes(system, ["marts/payment_labels"]), monitoring(system)],
        resources=resources_for(settings),
        instance=instance,
        tags=range_tags(str(DAY), str(DAY + timedelta(days=1))),
        run_config={**QUIET, "ops": {"toy__monitoring": {"config": {"as_of": RIPE.isoformat()}}}},
    )


def metadata(instance: dg.DagsterInstance, stage: str) -> dict[str, Any]:
    event = instance.get_latest_materialization_event(dg.AssetKey(["toy", stage]))
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def test_days_are_monitored_from_predictions_to_a_report(here: Settings, system: System) -> None:
    lake = Lake(here.lake)
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(here, system, instance)
        joined, shown = metadata(instance, "outcomes"), metadata(instance, "monitoring")
    assert joined["predictions"] == 2 * ROWS
    assert joined["rows_added"] == lake.read("toy/outcomes").height > 0
    assert shown["live/predictions"] == ROWS
    assert shown["live/final_share"] == 1.0
    assert shown["live/average_precision/final"] > 0.3
    assert "| decision_share | live/approve |" in shown["summary"]
    report = Path(shown["evidently"])
    assert report == here.home / "reports" / "toy" / f"{DAY + timedelta(days=1)}.html"
    assert "<html" in report.read_text()[:1_000]
    assert lake.read(table_of("toy"))["day"].n_unique() == 2
    [check] = result.get_asset_check_evaluations()
    # Every amount is the same on these days, and it was not in the training set.
    assert (check.check_name, check.passed) == ("drift", False)
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert "amount" in str(check.description)
    with dg.DagsterInstance.ephemeral() as instance:
        run(here, system, instance)
        assert metadata(instance, "outcomes")["rows_added"] == 0
    assert lake.read("toy/outcomes").height == joined["rows_added"]
