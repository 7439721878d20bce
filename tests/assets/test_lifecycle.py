from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from agora.stores.models import ModelRegistry
from assets.learning import known_until
from assets.lifecycle import lifecycle
from assets.partitions import range_tags
from assets.run import QUIET
from resources import resources_for
from tests.assets.marketplace import DAYS, LAST, START
from tests.assets.toy import toy

if TYPE_CHECKING:
    from agora.system import System
    from tests.assets.marketplace import Marketplace

pytestmark = pytest.mark.xdist_group("dagster")


def run(marketplace: Marketplace, system: System, *stages: str) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        lifecycle(system, ["marts/payments"]),
        selection=[dg.AssetKey([system.name, stage]) for stage in stages],
        resources=resources_for(marketplace.settings),
        instance=marketplace.instance,
        tags=range_tags(str(LAST), str(LAST)),
        run_config=QUIET,
        raise_on_error=False,
    )


def steps(result: dg.ExecuteInProcessResult, kind: dg.DagsterEventType) -> set[str | None]:
    return {event.step_key for event in result.all_events if event.event_type == kind}


def test_a_model_is_registered_as_challenger_and_judged(marketplace: Marketplace) -> None:
    system = toy()
    result = run(marketplace, system, "training_set", "model", "evaluation")
    assert result.success
    registry = ModelRegistry(marketplace.settings)
    assert registry.alias(system, "challenger") == marketplace.newest("toy", "model")["version"]
    assert registry.alias(system) is None
    shown = marketplace.newest("toy", "evaluation")
    assert shown["accuracy"] == 0.9
    assert shown["precision_recall"].startswith("![](data:image/png;base64,")
    assert "| candidate | 0.900 (0.800 to 1.000) |" in shown["report"]
    assert result.get_asset_check_evaluations()[0].check_name == "gate"


def test_a_closed_gate_keeps_the_model_from_serving(marketplace: Marketplace) -> None:
    system = toy(gate_holds=False)
    assert run(marketplace, system, "training_set", "model").success
    result = run(marketplace, system, "evaluation", "bento")
    assert steps(result, dg.DagsterEventType.STEP_FAILURE) == {"toy__evaluation"}
    assert "toy__bento" not in steps(result, dg.DagsterEventType.STEP_START)
    alone = run(marketplace, system, "bento")
    assert not alone.success
    assert ModelRegistry(marketplace.settings).alias(system) is None


def test_batch_predictions_repeat_exactly(marketplace: Marketplace) -> None:
    system, registry = toy(), ModelRegistry(marketplace.settings)
    assert run(marketplace, system, "training_set", "model", "evaluation").success
    registry.promote(system, str(registry.alias(system, "challenger")))
    frames = []
    for _ in range(2):
        assert run(marketplace, system, "predictions").success
        frames.append(marketplace.lake.read("toy/predictions").drop("predicted_at"))
    assert frames[0].height == system.requests(marketplace.lake, LAST).height > 0
    assert frames[0].sort("prediction_id").equals(frames[1].sort("prediction_id"))


def test_the_log_of_a_system_that_never_answered_is_empty(marketplace: Marketplace) -> None:
    assert run(marketplace, toy(), "prediction_log").success
    assert marketplace.newest("toy", "prediction_log")["rows_added"] == 0


def test_training_uses_what_was_known_when_the_last_built_day_ended(
    marketplace: Marketplace,
) -> None:
    assert known_until(marketplace.lake, toy()).date() == START + timedelta(days=DAYS)
