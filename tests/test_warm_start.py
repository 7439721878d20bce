"""A daily training goes on from the champion, the weekly one begins anew, and both say so."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

import dagster as dg
import pytest

from agora.manifest import content_hash
from agora.pipeline import predict
from agora.ranking.towers import TwoTower
from agora.registry import SYSTEMS
from agora.retraining import Retraining
from agora.settings import Settings
from agora.stores.lake import Lake
from agora.stores.models import CHALLENGER, ModelRegistry
from agora.warm_start import train
from assets.lifecycle import lifecycle
from assets.run import QUIET
from resources import resources_for
from sensors.schedules import how
from tests.assets.toy import Toy, report, toy
from tests.ranking.test_towers import SMALL, examples, shop
from tests.systems.synthetic import training_set

if TYPE_CHECKING:
    from pathlib import Path

    from agora.dataset import TrainingSet
    from agora.system import System

pytestmark = pytest.mark.xdist_group("mlflow")
MOST = 3


class Learner(Toy):
    """Walks to the mean amount in small steps; from an earlier model it has less far to go."""

    shape = 1

    def __init__(self, version: str = "", scale: float = 0.0) -> None:
        super().__init__(version, scale)
        self.steps = 0

    def fit(self, training_set: TrainingSet, start: Self | None = None) -> Self:
        if start is not None and start.shape != self.shape:
            raise ValueError(f"layers of {start.shape}, not of {self.shape}")
        goal = float(training_set.train["amount"].to_numpy().mean())
        self.scale = 0.0 if start is None else start.scale
        while abs(goal - self.scale) > 1e-3 * goal:
            self.scale += 0.1 * (goal - self.scale)
            self.steps += 1
        return self


class Wider(Learner):
    """Its layers have another shape than those of every champion."""

    shape = 2


SYSTEM = replace(toy(), build=Learner, load=Learner.load, retraining=Retraining(most_warm=MOST))


@pytest.fixture(scope="module")
def rows() -> TrainingSet:
    made = training_set(SYSTEM, 400)
    hashed = replace(made.manifest, content_hash=content_hash(made.frame))
    return replace(made, manifest=hashed)


@pytest.fixture
def models(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(Settings(home=tmp_path))


def champion(models: ModelRegistry, rows: TrainingSet, *, warm: bool) -> tuple[Learner, str]:
    """Train and promote: the pipeline, and how it was trained."""
    pipeline, origin = train(SYSTEM, rows, models, warm=warm)
    version = models.register(SYSTEM, pipeline, rows.manifest, report(), table_version=0,
                              origin=origin)  # fmt: skip
    models.promote(SYSTEM, version)
    assert models.card(SYSTEM, version).origin["trained"] == str(origin)
    return pipeline, str(origin)


def test_a_warm_training_takes_fewer_steps_and_ends_where_a_full_one_does(
    models: ModelRegistry, rows: TrainingSet
) -> None:
    full, said = champion(models, rows, warm=True)
    assert said == "full: there is no champion"
    later = replace(rows, frame=rows.frame.with_columns(rows.frame["amount"] * 1.01))
    warm, said = champion(models, later, warm=True)
    assert said == "warm from 1"
    assert 0 < warm.steps < full.steps / 2
    assert warm.scale == pytest.approx(Learner().fit(later).scale, rel=5e-3)


def test_a_model_is_not_gone_on_from_for_ever(models: ModelRegistry, rows: TrainingSet) -> None:
    said = [champion(models, rows, warm=number > 0)[1] for number in range(MOST + 3)]
    assert said == [
        "full", "warm from 1", "warm from 2", "warm from 3",
        "full: champion 4 is the warm one number 3 in a row", "warm from 5",
    ]  # fmt: skip


def test_without_being_asked_a_training_is_a_full_one(
    models: ModelRegistry, rows: TrainingSet
) -> None:
    champion(models, rows, warm=False)
    assert champion(models, rows, warm=False)[1] == "full"
    cold = replace(SYSTEM, retraining=Retraining())
    assert str(train(cold, rows, models, warm=True)[1]) == "full", "its pipeline cannot go on"


def test_a_torn_champion_means_a_full_training_that_says_why(
    models: ModelRegistry, rows: TrainingSet
) -> None:
    champion(models, rows, warm=False)
    (models.folder(SYSTEM, "1") / "toy.json").write_text("torn")
    pipeline, origin = train(SYSTEM, rows, models, warm=True)
    assert str(origin).startswith("full: champion 1: ")
    assert "toy.json differs" in origin.reason
    assert pipeline.scale == Learner().fit(rows).scale


def test_a_champion_of_another_shape_means_a_full_training_that_says_why(
    models: ModelRegistry, rows: TrainingSet
) -> None:
    champion(models, rows, warm=False)
    pipeline, origin = train(replace(SYSTEM, build=Wider), rows, models, warm=True)
    assert str(origin) == "full: champion 1: layers of 1, not of 2"
    assert pipeline.steps > 0


def test_a_champion_that_knows_the_rows_of_the_evaluation_is_not_gone_on_from(
    models: ModelRegistry, rows: TrainingSet
) -> None:
    champion(models, rows, warm=False)
    earlier = replace(
        rows, manifest=replace(rows.manifest, as_of=rows.manifest.as_of - timedelta(days=1))
    )
    assert "knows more" in train(SYSTEM, earlier, models, warm=True)[1].reason


@pytest.mark.parametrize("asked", [{"warm": True}, {}])
def test_the_asset_says_how_its_model_was_trained(
    tmp_path: Path, rows: TrainingSet, asked: dict[str, Any]
) -> None:
    here = Settings(home=tmp_path, environment="test")
    models, lake = ModelRegistry(here), Lake(here.lake)
    rows.save(lake, {})
    champion(models, rows, warm=False)
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            lifecycle(SYSTEM, ["marts/payments"]),
            selection=[dg.AssetKey(["toy", "model"])],
            resources=resources_for(here),
            instance=instance,
            run_config={**QUIET, "ops": {"toy__model": {"config": asked}}},
        )
        event = instance.get_latest_materialization_event(dg.AssetKey(["toy", "model"]))
    assert result.success
    trained = "warm from 1" if asked else "full"
    assert event.asset_materialization.metadata["trained"].value == trained
    assert models.card(SYSTEM, CHALLENGER).origin["trained"] == trained
    # The same gate judges both.
    assert SYSTEM.gate.check(models.report(SYSTEM, CHALLENGER)).passed


def test_the_schedule_goes_on_six_days_and_begins_anew_on_the_seventh(rows: TrainingSet) -> None:
    monday = rows.manifest.as_of.date()
    assert monday.isoweekday() == 1
    asked = [how(SYSTEM, monday + timedelta(days=n)) for n in range(7)]
    warm = [each["ops"]["toy__model"]["config"]["warm"] for each in asked]
    assert warm == [True] * 6 + [False]


def test_towers_that_go_on_take_less_than_half_the_time_of_new_ones() -> None:
    learned, goods = examples(3_000), shop()
    first = TwoTower.fit(learned, goods, SMALL)
    seconds = []
    for params, start in ((SMALL, None), (SMALL.update, first)):
        began = time.process_time()
        TwoTower.fit(learned, goods, params, start=start)
        seconds.append(time.process_time() - began)
    assert seconds[1] < 0.5 * seconds[0]


@pytest.mark.parametrize("name", [n for n, s in SYSTEMS.items() if s.retraining.most_warm])
def test_what_says_that_it_can_go_on_can(name: str) -> None:
    system: System = SYSTEMS[name]
    learned = training_set(system, 800)
    first = system.build().fit(learned)
    warm = system.build().fit(learned, start=first)
    assert predict(warm, learned.test.head(5)).height == 5
