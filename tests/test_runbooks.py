"""The runbook's commands do what it says, in its order, against a real small home."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from agora.evaluation import Estimate, Report
from agora.serving import Predictor
from agora.settings import Settings, child_environment
from agora.simulator import Params, simulate
from agora.stores import deployments
from agora.stores.decisions import read
from agora.stores.lake import Lake
from agora.stores.models import CHALLENGER, ModelRegistry
from agora.stores.predictions import FilePredictionLog
from agora.stores.valkey import stop_online
from agora.systems.fraud import SYSTEM
from agora.systems.fraud.pipeline import FraudPipeline
from tests.assets.marketplace import START
from tests.bentos.services import PAYMENT, QUICK, point
from tests.systems.synthetic import training_set

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "runbooks" / "fraud.md").read_text()
BLOCKS = re.findall(r"^```bash\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
DAY = START + timedelta(days=1)


def good() -> Report:
    """A report that the gate lets pass."""
    lead = Estimate(0.3, 0.2, 0.4)
    limits = dict.fromkeys(SYSTEM.gate.at_most, Estimate(0.0, 0.0, 0.0))
    return Report(
        system="fraud", primary="average_precision",
        metrics={"candidate": {"average_precision": Estimate(0.8, 0.7, 0.9), **limits}},
        differences=dict.fromkeys(SYSTEM.gate.baselines, lead), slices=[], reliability=[],
        curves={"candidate": {"recall": [0, 1], "precision": [1, 0]}}, importance={"amount": 1.0},
        rows=1_000, positives=100, spans={"test": ("2026-03-01", "2026-03-02")},
    )  # fmt: skip


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Version 1 serves and has answered; version 2 is the challenger; two days have landed."""
    here = Settings(home=tmp_path_factory.mktemp("runbook"), environment="test")
    params = Params(seed=7, start=START, days=3, payments_per_day=60, customers=200, merchants=40)
    simulate(params, Path(here.landing), None)
    models, rows = ModelRegistry(here), training_set(SYSTEM, 3_000)
    pipeline = FraudPipeline(QUICK).fit(rows)
    for version in ("1", "2"):
        made = models.register(SYSTEM, pipeline, rows.manifest, good(), table_version=0)
        assert made == version
    models.promote(SYSTEM, "1")
    models.promote(SYSTEM, "2", CHALLENGER)
    point(here, models.folder(SYSTEM, "1"))
    log = FilePredictionLog(here.prediction_log / "fraud")
    predictor = Predictor(SYSTEM, models.load(SYSTEM, "1"), log=log)
    for number in range(30):
        predictor.predict_one({**PAYMENT, "payment_id": f"p-{number}"})
    log.close()
    yield here
    stop_online(here)


def ran(blocks: list[str], settings: Settings, **variables: str) -> dict[str, str]:
    """What each block said, by its command; a block that fails fails the test."""
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
            capture_output=True, text=True, timeout=1_700,
        )  # fmt: skip
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        said[block.split()[1]] = done.stdout
    return said


def builds(block: str) -> bool:
    """Whether a block builds tables of the warehouse, or publishes them."""
    return "not group" in block or "fraud/features" in block


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_models_are_deployed_and_rolled_back_as_the_runbook_says(settings: Settings) -> None:
    said = ran([block for block in BLOCKS if not builds(block)], settings)
    decided = read(Lake(settings.lake), "fraud").select("action", "version", "by").rows()
    assert [row[:2] for row in decided] == [("promoted", "2"), ("rolled_back", "1")]
    assert decided[0][2] == "gate"
    assert decided[1][2].startswith("person:")
    pointer = deployments.read(settings.deployments, "fraud")
    assert (pointer.current.version, pointer.previous.version) == ("1", "2")
    assert ModelRegistry(settings).alias(SYSTEM) == "1"
    assert Lake(settings.lake).read("predictions/fraud").height == 30
    assert "no adjustments are in force" in said["withdraw"]
    assert datetime.now(UTC).strftime("%Y-%m-%d") in said["history"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_days_are_repaired_and_published_as_the_runbook_says(
    settings: Settings, tmp_path: Path
) -> None:
    landed = sorted((Path(settings.landing) / "payments" / f"dt={DAY}").iterdir())[0]
    repaired = tmp_path / f"repaired{''.join(landed.suffixes)}"
    repaired.write_bytes(landed.read_bytes())
    landed.unlink()
    # Everything is built once before a day of it is repaired and published.
    blocks = sorted(filter(builds, BLOCKS), key=lambda block: "raw/" in block or "stop" in block)
    ran(blocks, settings, REPAIRED=str(repaired))
    rows = Lake(settings.lake).read("raw/payments").filter(pl.col("arrival_date") == DAY)
    assert rows.height > 0


def test_every_command_of_the_runbook_is_agoras(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from agora.cli import app

    lines = [line for block in BLOCKS for line in block.splitlines() if line]
    assert len(lines) > 10
    for line in lines:
        words = line.split()
        assert words[0] == "agora"
        path = words[1:3] if words[1] in {"keys", "ingest"} else words[1:2]
        assert CliRunner().invoke(app, [*path, "--help"]).exit_code == 0, line
