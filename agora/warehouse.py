"""The warehouse: runs dbt on the lake in a process of its own, without an orchestrator.

Dagster's dbt resource reuses `dbt_environment`, so both ways read and write the same lake.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agora.settings import child_environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from agora.settings import Settings

PROJECT = Path(__file__).parents[1] / "dbt_project"


class WarehouseError(RuntimeError):
    """dbt failed; the message is dbt's own."""


def dbt_environment(
    settings: Settings, start: date | None = None, end: date | None = None
) -> dict[str, str]:
    """What the dbt project reads: the lake, and the days [start, end) that a run stands for."""
    return {
        "AGORA_LAKE": settings.lake,
        "AGORA_LAKE_OPTIONS": json.dumps(settings.lake_options),
        "AGORA_DBT_SCRATCH": str(settings.home / "dbt" / "spill"),
        "AGORA_WINDOW_START": start.isoformat() if start else "",
        "AGORA_WINDOW_END": end.isoformat() if end else "",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_PROFILES_DIR": str(PROJECT),
        "DBT_PROJECT_DIR": str(PROJECT),
        "DBT_TARGET_PATH": str(settings.home / "dbt" / "target"),
        "DBT_LOG_PATH": str(settings.home / "dbt" / "logs"),
    }


def build(
    settings: Settings, start: date, end: date, select: str | None = None, full_refresh: bool = False
) -> None:
    """Build and test the models for the days [start, end).

    Unit tests stay out: they say whether the SQL is right, not whether the data is.

    Args:
        settings: Instance whose lake is read and written.
        start: First day.
        end: Day after the last.
        select: dbt selection; everything when None.
        full_refresh: Replace tables as a whole by these days, which lets their schema change.

    Raises:
        WarehouseError: A model or a test failed.
    """
    arguments = ["build", "--exclude-resource-type", "unit_test"]
    if select:
        arguments += ["--select", *select.split()]
    if full_refresh:
        arguments.append("--full-refresh")
    run_dbt(settings, arguments, start, end)


def parse(settings: Settings) -> Path:
    """Read the project without touching data; returns the manifest."""
    run_dbt(settings, ["parse"])
    return settings.home / "dbt" / "target" / "manifest.json"


def run_dbt(
    settings: Settings, arguments: Sequence[str], start: date | None = None, end: date | None = None
) -> str:
    """Run one dbt command and return what it printed.

    Raises:
        WarehouseError: dbt failed.
    """
    environment = child_environment(settings, dbt_environment(settings, start, end))
    code = "import sys; from dbt.cli.main import cli; cli()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-use-colors", *arguments],
        cwd=PROJECT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise WarehouseError(f"dbt {' '.join(arguments)}\n{done.stdout}{done.stderr}")
    return done.stdout
