"""Whatever is decided on a version is written down with who or what decided it, once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl
import pytest

from agora.dataset import Split
from agora.settings import Settings
from agora.stores.decisions import read
from agora.stores.lake import Lake
from agora.stores.models import CHALLENGER, ModelRegistry
from assets.decisions import STIMULUS
from assets.learning import champion_of
from assets.lifecycle import lifecycle
from assets.run import QUIET
from resources import resources_for
from tests.assets.toy import Toy, report, toy
from tests.systems.synthetic import AS_OF, manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora.system import System

pytestmark = pytest.mark.xdist_group("mlflow")


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Version 1 is the champion, version 2 the challenger."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), environment="test")
    system, models = toy(), ModelRegistry(settings)
    made_of = manifest(
        system, pl.DataFrame({"split": ["train"], system.label: [True]}), Split().spans(AS_OF)
    )
    for _ in range(2):
        models.register(system, Toy(), made_of, report(), table_version=0)
    models.promote(system, "1")
    models.promote(system, "2", CHALLENGER)
    return settings


@pytest.fixture
def settings(registered: Settings, tmp_path: Any) -> Settings:
    """The same models, and a lake without decisions."""
    return registered.model_copy(update={"lake_url": str(tmp_path / "lake")})


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as held:
        yield held


def run(
    settings: Settings, instance: dg.DagsterInstance, system: System, *stages: str, **tags: str
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        lifecycle(system, ["marts/payments"]),
        selection=[dg.AssetKey([system.name, stage]) for stage in stages],
        resources=resources_for(settings), instance=instance, run_config=QUIET,
        tags={STIMULUS: tags["stimulus"]} if tags else {}, raise_on_error=False,
    )  # fmt: skip


def decided(settings: Settings) -> list[dict[str, Any]]:
    return read(Lake(settings.lake), "toy").to_dicts()


def test_a_closed_gate_is_a_decision_with_its_reasons_and_metrics(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    system = toy(gate_holds=False)
    result = run(settings, instance, system, "evaluation", "bento", stimulus="drift/2026-03-01")
    (row,) = decided(settings)
    assert (row["action"], row["version"], row["by"]) == ("refused", "2", "gate")
    assert (row["stimulus"], row["run_id"]) == ("drift/2026-03-01", result.run_id)
    assert (row["champion_before"], row["champion_after"]) == ("1", "1")
    assert row["reasons"] == ["the report lacks the baseline oracle"]
    assert {"name": "candidate/accuracy", "value": 0.9} in row["metrics"]


def test_a_bento_alone_meets_the_same_gate(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    assert not run(settings, instance, toy(gate_holds=False), "bento").success
    assert [row["by"] for row in decided(settings)] == ["gate"]


def test_a_failed_parity_check_keeps_a_version_from_serving(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    for passed in (True, False):
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(["toy", "evaluation"]), check_name="parity", passed=passed,
                metadata={}, description="" if passed else "3 of 100 scores differ",
            )
        )  # fmt: skip
    assert not run(settings, instance, toy(), "bento").success
    (row,) = decided(settings)
    assert (row["action"], row["by"]) == ("refused", "check:parity")
    assert row["reasons"] == ["3 of 100 scores differ"]


def test_a_deployment_that_fails_is_a_refusal(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    # The toy has no service to build a bento of.
    assert not run(settings, instance, toy(), "bento").success
    (row,) = decided(settings)
    assert (row["action"], row["by"]) == ("refused", "deployment")
    assert "service.py" in row["reasons"][0]
    assert ModelRegistry(settings).alias(toy()) == "1"


def test_a_champion_of_other_features_is_not_compared(settings: Settings) -> None:
    models, system = ModelRegistry(settings), toy()
    champion, why = champion_of(system, models)
    assert champion is not None
    assert why == ""

    def load(folder: Any) -> Toy:
        Toy.load(folder)
        raise_other_features(folder)

    champion, why = champion_of(replace(system, load=load), models)
    assert champion is None
    assert "fitted on other feature sets" in why


def raise_other_features(folder: Any) -> None:
    """What a pipeline says of a folder that was fitted on other sets."""
    from agora.pipeline import verify

    verify(folder, system="toy", feature_sets=("others__daily@1",))
