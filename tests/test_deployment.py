"""Deployment: a version that fails changes nothing, whatever the moment."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agora.deployment import DeploymentError, deploy, rollback
from agora.deployment.build import _stage, requirements
from agora.serving.golden import differing_field
from agora.settings import Settings
from agora.stores import deployments
from agora.stores.deployments import Deployment, Pointer
from agora.stores.valkey import stop_online
from agora.systems.fraud import SYSTEM
from tests.bentos.services import PROJECT, fit_versions
from tests.deployed import TOY, deployment, saved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora.system import System


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def test_a_pointer_is_read_as_it_was_written(settings: Settings, tmp_path: Path) -> None:
    assert deployments.read(settings.deployments, "toy") is None
    pointer = Pointer(current=deployment(tmp_path, "2"), previous=deployment(tmp_path, "1"))
    deployments.write(settings.deployments, pointer)
    assert deployments.read(settings.deployments, "toy") == pointer


@pytest.mark.parametrize("harm", ["torn", "missing", "no manifest"])
def test_a_torn_model_is_refused_and_the_pointer_stays(
    settings: Settings, tmp_path: Path, harm: str
) -> None:
    before = Pointer(current=deployment(tmp_path, "1"))
    deployments.write(settings.deployments, before)
    folder = saved(tmp_path, "2")
    if harm == "torn":
        (folder / "toy.json").write_text("{")
    else:
        (folder / ("toy.json" if harm == "missing" else "manifest.json")).unlink()
    with pytest.raises(DeploymentError, match="version 2"):
        deploy(TOY, "2", settings, folder=folder)
    assert deployments.read(settings.deployments, "toy") == before


def test_a_system_without_a_service_is_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match=r"there is no .*service\.py"):
        deploy(TOY, "1", settings, folder=saved(tmp_path, "1"))


def test_a_version_that_was_never_registered_is_refused(settings: Settings) -> None:
    with pytest.raises(DeploymentError, match="no model '7'"):
        deploy(TOY, "7", settings)


def test_a_rollback_serves_what_was_served_before(settings: Settings, tmp_path: Path) -> None:
    one, two = deployment(tmp_path, "1"), deployment(tmp_path, "2")
    deployments.write(settings.deployments, Pointer(current=two, previous=one))
    assert rollback(TOY, settings) == one
    assert deployments.read(settings.deployments, "toy") == Pointer(current=one, previous=two)


def test_a_rollback_to_nothing_or_to_a_torn_model_is_refused(
    settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(DeploymentError, match="no earlier"):
        rollback(TOY, settings)
    one, two = deployment(tmp_path, "1"), deployment(tmp_path, "2")
    pointer = Pointer(current=two, previous=one)
    deployments.write(settings.deployments, pointer)
    (Path(one.model) / "toy.json").write_text("torn")
    with pytest.raises(DeploymentError, match=r"toy\.json differs"):
        rollback(TOY, settings)
    assert deployments.read(settings.deployments, "toy") == pointer


@pytest.mark.parametrize(
    ("expected", "answer", "field"),
    [
        ({"score": 0.5, "prediction_id": "a"}, {"score": 0.5 + 1e-12, "prediction_id": "b"}, None),
        ({"score": 0.5}, {"score": 0.501}, "score"),
        ({"reasons": [{"code": "a"}]}, {"reasons": []}, "reasons"),
        ({"decision": "approve"}, {}, "decision"),
    ],
)
def test_answers_are_compared_field_by_field(
    expected: dict[str, Any], answer: dict[str, Any], field: str | None
) -> None:
    assert differing_field(expected, answer) == field


def test_the_image_installs_exact_versions_and_no_orchestrator() -> None:
    pins = requirements("fraud")
    names = {pin.split("==")[0] for pin in pins}
    assert all("==" in pin for pin in pins)
    assert {"bentoml", "lightgbm", "polars", "redis", "hiredis"} <= names
    assert not names & {"dagster", "dbt-core", "mlflow", "torch", "evidently", "great-expectations"}


def test_the_image_carries_one_system_and_what_serves_it(tmp_path: Path) -> None:
    _stage("fraud", PROJECT, tmp_path / "context")
    context = tmp_path / "context"
    assert [path.name for path in (context / "agora/systems").iterdir() if path.is_dir()] == [
        "fraud"
    ]
    assert (context / "bentos/fraud/service.py").is_file()
    for left_out in ("agora/registry.py", "agora/cli.py", "agora/deployment", "assets"):
        assert not (context / left_out).exists()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return fit_versions(tmp_path_factory.mktemp("models"), "1", "2")


@pytest.fixture
def fraud_home(settings: Settings) -> Iterator[Settings]:
    yield settings
    stop_online(settings)


@pytest.mark.slow
def test_a_good_version_is_deployed_and_a_skewed_one_is_not(
    fraud_home: Settings, models: dict[str, Path]
) -> None:
    first = deploy(SYSTEM, "1", fraud_home, folder=models["1"], run_id="run-1")
    assert (first.version, first.run_id) == ("1", "run-1")
    assert Path(first.model).is_relative_to(fraud_home.bentoml_home)
    with pytest.raises(DeploymentError, match="answered differently in score"):
        deploy(_skewed(SYSTEM), "2", fraud_home, folder=models["2"])
    assert deployments.read(fraud_home.deployments, "fraud") == Pointer(current=first)
    assert not fraud_home.prediction_log.exists(), "golden answers reach no log"


def _skewed(system: System) -> System:
    """The same system, whose pipeline scores otherwise in this process than in the bento."""

    def load(folder: Path) -> Any:
        pipeline = system.load(folder)
        decide = pipeline.decide

        def skewed(*arguments: Any) -> dict[str, Any]:
            decided = decide(*arguments)
            return {**decided, "score": [0.9 * score for score in decided["score"]]}

        pipeline.decide = skewed
        return pipeline

    return replace(system, load=load)


SLEEP = """
import time

from agora.systems.fraud.pipeline import FraudPipeline

awake = FraudPipeline.decode
FraudPipeline.decode = lambda self, columns: time.sleep({seconds}) or awake(self, columns)
"""


def sleepy(folder: Path, seconds: float) -> Path:
    """A project whose service sleeps in the stage of the features, which has 50 ms."""
    shutil.copytree(PROJECT / "bentos", folder / "bentos")
    with (folder / "bentos" / "fraud" / "service.py").open("a") as service:
        service.write(SLEEP.format(seconds=seconds))
    return folder


@pytest.mark.slow
def test_a_bento_with_a_sleep_of_60_ms_in_a_stage_of_50_ms_is_refused_and_the_stage_named(
    fraud_home: Settings, models: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(DeploymentError, match=r"over its latency budget: feature_computation"):
        deploy(SYSTEM, "1", fraud_home, folder=models["1"], project=sleepy(tmp_path / "slow", 0.06))
    assert deployments.read(fraud_home.deployments, "fraud") is None


@pytest.mark.slow
def test_a_bento_three_times_as_slow_as_the_one_that_serves_is_refused_within_its_budget(
    fraud_home: Settings, models: dict[str, Path], tmp_path: Path
) -> None:
    slow = sleepy(tmp_path / "slow", 0.04)
    first = deploy(SYSTEM, "1", fraud_home, folder=models["1"])
    with pytest.raises(DeploymentError, match=r"feature_computation: .* times the version that"):
        deploy(SYSTEM, "2", fraud_home, folder=models["2"], project=slow)
    assert deployments.read(fraud_home.deployments, "fraud") == Pointer(current=first)
    assert deploy(SYSTEM, "2", fraud_home, folder=models["2"]).version == "2"


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [1, 6])
def test_a_killed_deployment_leaves_the_last_good_state(
    fraud_home: Settings, models: dict[str, Path], seconds: float
) -> None:
    pointer = deployments.path_of(fraud_home.deployments, "fraud")
    deployments.write(fraud_home.deployments, Pointer(current=_placeholder(models["1"])))
    before = pointer.read_text()
    script = """
        import sys
        from pathlib import Path
        from agora.deployment import deploy
        from agora.settings import Settings
        from agora.systems.fraud import SYSTEM
        print("started", flush=True)
        deploy(SYSTEM, "2", Settings(home=sys.argv[1]), folder=Path(sys.argv[2]))
    """
    arguments = [str(fraud_home.home), str(models["2"])]
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        stdout=subprocess.PIPE, text=True, cwd=PROJECT,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
    assert pointer.read_text() == before
    assert deploy(SYSTEM, "2", fraud_home, folder=models["2"]).version == "2"


def _placeholder(folder: Path) -> Deployment:
    return Deployment(
        system="fraud", version="1", bento="fraud:before", model=str(folder), golden=[],
        deployed_at=datetime.now(UTC),
    )  # fmt: skip
