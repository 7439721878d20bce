"""A small home of a system, such as its runbook's commands are run on."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agora.evaluation import CANDIDATE, Estimate, Report
from agora.serving import Predictor
from agora.serving.golden import golden_answers, golden_requests
from agora.settings import Settings, child_environment
from agora.settings import settings as here
from agora.simulator import Params, simulate
from agora.stores import deployments
from agora.stores.deployments import Deployment, Pointer
from agora.stores.models import CHALLENGER, ModelRegistry
from agora.stores.predictions import FilePredictionLog
from tests.assets.marketplace import START
from tests.systems.synthetic import training_set

if TYPE_CHECKING:
    from agora.system import System

ROOT = Path(__file__).parents[1]
DAY = START + timedelta(days=1)
SECONDS = 1_700
"""For one block of commands: the whole warehouse on a busy machine."""


def home_of(system: System, folder: Path, answers: int = 30) -> Settings:
    """Version 1 serves and has answered; version 2 is the challenger; three days have landed."""
    made = Settings(home=folder, environment="test")
    if (here().home / "encoders").exists():
        # As an instance that has trained before has it.
        (folder / "encoders").symlink_to(here().home / "encoders")
    params = Params(seed=7, start=START, days=3, payments_per_day=60, customers=200, merchants=40)
    simulate(params, Path(made.landing), None)
    registry, rows = ModelRegistry(made), training_set(system)
    pipeline = system.build().fit(rows)
    for version in ("1", "2"):
        known = registry.register(system, pipeline, rows.manifest, good(system), table_version=0)
        assert known == version
    registry.promote(system, "1")
    registry.promote(system, "2", CHALLENGER)
    point(system, made, registry.folder(system, "1"))
    ask(system, made, registry, answers)
    return made


def good(system: System) -> Report:
    """A report that the system's gate lets pass."""
    lead = Estimate(0.3, 0.2, 0.4)
    limits = dict.fromkeys(system.gate.at_most, Estimate(0.0, 0.0, 0.0))
    return Report(
        system=system.name, primary="average_precision",
        metrics={CANDIDATE: {"average_precision": Estimate(0.8, 0.7, 0.9), **limits}},
        differences=dict.fromkeys((*system.gate.baselines, *system.gate.parts), lead), slices=[],
        reliability=[], curves={CANDIDATE: {"recall": [0, 1], "precision": [1, 0]}},
        importance={"amount": 1.0}, rows=10_000, positives=1_000,
        spans={"test": ("2026-03-01", "2026-03-02")},
    )  # fmt: skip


def point(system: System, settings: Settings, folder: Path) -> None:
    """Point the service at a registered version, as a finished deployment does."""
    pipeline = system.load(folder)
    deployment = Deployment(
        system=system.name, version=pipeline.version, bento=f"{system.name}:test",
        model=str(folder), golden=golden_answers(system, pipeline), deployed_at=datetime.now(UTC),
    )  # fmt: skip
    deployments.write(settings.deployments, Pointer(current=deployment))


def ask(system: System, settings: Settings, registry: ModelRegistry, answers: int) -> None:
    """Log answers of version 1."""
    log = FilePredictionLog(settings.prediction_log / system.name)
    predictor = Predictor(system, registry.load(system, "1"), log=log)
    request = request_of(system)
    for number in range(answers):
        predictor.predict_one({**request, predictor.requests.id_field: f"r-{number}"})
    log.close()


def request_of(system: System) -> dict[str, Any]:
    """What a caller sends: the system's first golden request."""
    return dict(golden_requests(system)[0])


def ran(blocks: list[str], settings: Settings, **variables: str) -> dict[str, str]:
    """What each block said, by its first command; a block that fails fails the test."""
    environment = child_environment(
        settings,
        {
            "DAY": str(DAY), "NEXT_DAY": str(DAY + timedelta(days=1)),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
            "AGORA_ENVIRONMENT": "test", "COLUMNS": "200", **variables,
        },
    )  # fmt: skip
    said = {}
    for block in blocks:
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", block], cwd=ROOT, env=environment,
            capture_output=True, text=True, timeout=SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        said[block.split()[1]] = done.stdout
    return said
