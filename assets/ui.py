"""Dagster's web server and daemon on this instance: `python -m assets.ui [--port N]`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from agora.settings import child_environment, settings
from resources.instance import BATCHES, instance

PROJECT = Path(__file__).parents[1]


def main() -> None:
    """Make the instance if there is none, then become `dagster dev`."""
    parser = argparse.ArgumentParser(prog="python -m assets.ui", description=__doc__)
    parser.add_argument("--port", type=int, default=3001)
    parser.add_argument("--host", default="127.0.0.1")
    given = parser.parse_args()
    here = settings()
    instance(here).dispose()
    environment = child_environment(here, {**BATCHES, "PYTHONPATH": str(PROJECT)})
    command = [
        sys.executable, "-m", "dagster", "dev", "-w", str(PROJECT / "workspace.yaml"),
        "--host", given.host, "--port", str(given.port),
    ]  # fmt: skip
    print(f"Dagster on http://{given.host}:{given.port} (instance {here.dagster_home})", flush=True)
    os.chdir(PROJECT)
    os.execve(sys.executable, command, environment)


if __name__ == "__main__":
    main()
