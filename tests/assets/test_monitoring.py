from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from agora.dataset import Split
from agora.monitoring import table_of
from agora.stores.models import ModelRegistry
from agora.systems.fraud.outcomes import cost, outcomes
from assets.lifecycle import lifecycle
from assets.partitions import range_tags
from assets.run import QUIET
from resources import resources_for
from tests.assets.marketplace import DAYS, LAST
from tests.assets.toy import toy

if TYPE_CHECKING:
    from agora.system import System
    from tests.assets.marketplace import Marketplace

pytestmark = pytest.mark.xdist_group("dagster")


@pytest.fixture(scope="module")
def watched() -> System:
    """A system whose days are all in its training set, and whose labels are final at once."""
    split = Split(
        train_days=DAYS - 2, calibration_days=1, test_days=1, label_delay=timedelta(hours=0)
    )
    return replace(
        toy(), name="toy", outcomes=outcomes, cost=cost, flagged=("review",), split=split
    )


def run(marketplace: Marketplace, system: System, *stages: str) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        lifecycle(system, ["marts/payments", "marts/payment_labels"]),
        selection=[dg.AssetKey([system.name, stage]) for stage in stages],
        resources=resources_for(marketplace.settings),
        instance=marketplace.instance,
        tags=range_tags(str(LAST - timedelta(days=1)), str(LAST)),
        run_config=QUIET,
        raise_on_error=False,
    )


def test_days_are_monitored_from_predictions_to_a_report(
    marketplace: Marketplace, watched: System
) -> None:
    registry = ModelRegistry(marketplace.settings)
    assert run(marketplace, watched, "training_set", "model", "evaluation").success
    registry.promote(watched, str(registry.alias(watched, "challenger")))
    result = run(marketplace, watched, "predictions", "outcomes", "monitoring")
    assert result.success
    lake = marketplace.lake
    joined = marketplace.newest("toy", "outcomes")
    assert joined["predictions"] == lake.read("toy/predictions").height > 0
    assert joined["rows_added"] == lake.read("toy/outcomes").height
    shown = marketplace.newest("toy", "monitoring")
    assert shown["batch/predictions"] == watched.requests(lake, LAST).height
    assert shown["batch/final_share"] == 1.0
    assert "| decision_share | batch/approve |" in shown["summary"]
    report = Path(shown["evidently"])
    assert report == marketplace.settings.home / "reports" / "toy" / f"{LAST}.html"
    assert "<html" in report.read_text()[:1_000]
    assert lake.read(table_of("toy"))["day"].n_unique() == 2
    [check] = [each for each in result.get_asset_check_evaluations() if each.check_name == "drift"]
    assert check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert "not judged" in str(check.description)


def test_outcomes_are_joined_once_however_often_the_asset_runs(
    marketplace: Marketplace, watched: System
) -> None:
    assert run(marketplace, watched, "outcomes").success
    rows = marketplace.lake.read("toy/outcomes").height
    assert run(marketplace, watched, "outcomes").success
    assert marketplace.newest("toy", "outcomes")["rows_added"] == 0
    assert marketplace.lake.read("toy/outcomes").height == rows
