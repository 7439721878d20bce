from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from agora.audit.cost import Prices, cost_sheet
from agora.audit.latency import over_budget, stage_latencies
from agora.budgets import TOTAL, overruns, slow
from agora.deployment.pace import own_times
from agora.registry import SYSTEMS
from agora.serving import Predictor
from agora.settings import Settings
from agora.stores.drain import drain
from agora.stores.lake import Lake
from agora.stores.predictions import FilePredictionLog
from tests.toy_system import PAYMENT, ToyPipeline, toy_system

if TYPE_CHECKING:
    from pathlib import Path

SYSTEM = replace(toy_system(), budgets=SYSTEMS["fraud"].budgets)


class Sleepy(ToyPipeline):
    def decode(self, columns: Any) -> Any:
        time.sleep(0.06)
        return super().decode(columns)


def answer(folder: Path, pipeline: ToyPipeline, count: int = 25) -> Lake:
    lake, log = Lake(str(folder / "lake")), FilePredictionLog(folder / "log" / "toy")
    predictor = Predictor(SYSTEM, pipeline, log=log)
    for _ in range(count):
        predictor.predict_one(PAYMENT)
    log.close()
    drain(folder / "log" / "toy", lake)
    return lake


def test_a_sleep_of_60_ms_in_a_stage_of_50_ms_is_found_and_named(tmp_path: Path) -> None:
    found = over_budget(SYSTEM, answer(tmp_path, Sleepy()))
    # Of so few answers one that the machine held up makes another stage late.
    (over,) = [each for each in found if each.stage == "feature_computation"]
    assert over.budget_ms == 50
    assert 60 <= over.p99_ms < 6_000
    assert str(over) == f"feature_computation: p99 {over.p99_ms:.1f} ms, budget 50 ms"


def test_answers_within_their_budgets_are_left_alone(tmp_path: Path) -> None:
    # The slowest hundredth may be the machine's.
    lake = answer(tmp_path, ToyPipeline(), count=1_000)
    assert over_budget(SYSTEM, lake) == []
    stages = set(stage_latencies(lake, "toy")["stage"])
    assert {*SYSTEM.budgets.stages_ms} - stages <= {"gateway", "buffer"}
    assert TOTAL in stages


def test_few_answers_are_not_judged(tmp_path: Path) -> None:
    assert over_budget(SYSTEM, answer(tmp_path, Sleepy(), count=5)) == []
    assert over_budget(SYSTEM, Lake(str(tmp_path / "nothing"))) == []


class Stuttering(ToyPipeline):
    """A machine that is taken away in three of four answers."""

    turns = 0

    def decode(self, columns: Any) -> Any:
        self.turns += 1
        time.sleep(0.06 if self.turns % 4 else 0)
        return super().decode(columns)


@pytest.mark.parametrize(("pipeline", "refused"), [(Stuttering(), False), (Sleepy(), True)])
def test_a_machine_that_stutters_is_not_taken_for_a_slow_version(
    tmp_path: Path, pipeline: ToyPipeline, refused: bool
) -> None:
    here = Settings(home=tmp_path)
    log = FilePredictionLog(here.prediction_log / "toy")
    predictor = Predictor(SYSTEM, pipeline, log=log)
    answers = [predictor.predict_one(PAYMENT).model_dump() for _ in range(20)]
    log.close()
    own = own_times(SYSTEM, here, {answer["prediction_id"]: 0 for answer in answers})
    assert [reason.split(":")[0] for reason in slow(SYSTEM.budgets, own, {})] == (
        ["feature_computation"] if refused else []
    )
    # Customers wait for it all the same: the alert follows the budget.
    assert "feature_computation" in {each.stage for each in over_budget(SYSTEM, Lake(here.lake))}


def test_of_the_golden_requests_the_slowest_counts(tmp_path: Path) -> None:
    here = Settings(home=tmp_path)
    log = FilePredictionLog(here.prediction_log / "toy")
    predictor = Predictor(SYSTEM, Stuttering(), log=log)
    asked = {
        predictor.predict_one(PAYMENT).model_dump()["prediction_id"]: number % 4
        for number in range(12)
    }
    log.close()
    assert own_times(SYSTEM, here, asked)["feature_computation"] > 60
    assert own_times(SYSTEM, here, dict.fromkeys(asked, 0))["feature_computation"] < 60


def test_a_tier_has_a_budget_of_its_own() -> None:
    found = overruns(SYSTEM.budgets, {"inference/rules": 6.0, "inference": 6.0, "unheard": 1e9})
    assert [str(each) for each in found] == ["inference/rules: p99 6.0 ms, budget 5 ms"]


def test_the_cost_of_a_prediction_follows_from_its_stages(tmp_path: Path) -> None:
    lake = answer(tmp_path, Sleepy())
    sheet = cost_sheet(SYSTEM, lake, Prices(core_hour_usd=3.6, busy_share=0.5))
    assert next(iter(sheet.stages_usd)) == "feature_computation"
    assert sheet.usd_per_prediction == pytest.approx(sheet.milliseconds * 2e-6)
    assert sheet.usd_per_prediction == pytest.approx(sum(sheet.stages_usd.values()))
    assert sheet.answers_per_core_second == pytest.approx(500 / sheet.milliseconds)
    assert sheet.within_budget
    with pytest.raises(LookupError, match="no answer has been logged"):
        cost_sheet(SYSTEM, Lake(str(tmp_path / "nothing")))
