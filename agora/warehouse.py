"""The warehouse: runs dbt on the lake in a process of its own, without an orchestrator.

Dagster's dbt resource runs with the same `dbt_environment`, so both ways read and write the same
lake.
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


def dbt_command() -> list[str]:
    """The command line that starts dbt in this Python, wherever scripts are installed."""
    return [sys.executable, "-c", "from dbt.cli.main import cli; cli()"]


def dbt_environment(
    settings: Settings, start: date | None = None, end: date | None = None
) -> dict[str, str]:
    """Environment of a dbt process: the project, the lake and the days [start, end) of the run.

    The window is in the environment because changed `--vars` make dbt parse everything again.
    Unit tests stay out of runs: they say whether the SQL is right, not whether the data is.
    """
    state = settings.home / "dbt"
    return child_environment(
        settings,
        {
            "AGORA_LAKE": settings.lake,
            "AGORA_LAKE_OPTIONS": json.dumps(settings.lake_options),
            "AGORA_DBT_SPILL": str(state / "spill"),
            "AGORA_WINDOW_START": start.isoformat() if start else "",
            "AGORA_WINDOW_END": end.isoformat() if end else "",
            "DBT_PROJECT_DIR": str(PROJECT),
            "DBT_PROFILES_DIR": str(PROJECT),
            "DBT_TARGET_PATH": str(state / "target"),
            "DBT_LOG_PATH": str(state / "logs"),
            "DBT_EXCLUDE_RESOURCE_TYPES": "unit_test",
            # A test that needs a model outside the selection waits for a run that holds both.
            "DBT_INDIRECT_SELECTION": "buildable",
            "DBT_USE_COLORS": "false",
        },
    )


def build(
    settings: Settings,
    start: date,
    end: date,
    select: str | None = None,
    full_refresh: bool = False,
) -> None:
    """Build and test the models for the days [start, end).

    Args:
        settings: Instance whose lake is read and written.
        start: First day.
        end: Day after the last.
        select: dbt selection; everything when None.
        full_refresh: Replace tables as a whole by these days, which lets their schema change.

    Raises:
        WarehouseError: A model or a test failed.
    """
    chosen = ["--select", *select.split()] if select else []
    refresh = ["--full-refresh"] if full_refresh else []
    run_dbt(settings, ["build", *chosen, *refresh], start, end)


def parse(settings: Settings) -> Path:
    """Read the project without touching data.

    Returns:
        The manifest.
    """
    run_dbt(settings, ["parse"])
    return settings.home / "dbt" / "target" / "manifest.json"


def run_dbt(
    settings: Settings, arguments: Sequence[str], start: date | None = None, end: date | None = None
) -> str:
    """Run one dbt command and return what it printed.

    Raises:
        WarehouseError: dbt failed.
    """
    done = subprocess.run(
        [*dbt_command(), *arguments],
        cwd=PROJECT,
        env=dbt_environment(settings, start, end),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise WarehouseError(f"dbt {' '.join(arguments)}\n{done.stdout}{done.stderr}")
    return done.stdout
