"""The Dagster instance of a home: SQLite below it, no telemetry."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dagster import DagsterInstance

if TYPE_CHECKING:
    from agora.settings import Settings

BATCHES = {"DAGSTER_EVENT_BATCH_SIZE": "1000"}
"""Environment of whatever writes events; see `resources.event_log`."""

# One run at a time: steps use all cores of a small machine, and two runs over the same days would
# repeat each other.
DAGSTER_YAML = """\
telemetry:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 1
event_log_storage:
  module: resources.event_log
  class: BatchedEventLogStorage
  config:
    base_dir: {folder}/history
"""


def instance(settings: Settings) -> DagsterInstance:
    """Open the instance of this home, made on first use; a `dagster.yaml` that is there stays."""
    os.environ.update(BATCHES)
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    file = settings.dagster_home / "dagster.yaml"
    if not file.exists():
        file.write_text(DAGSTER_YAML.format(folder=settings.dagster_home))
    return DagsterInstance.from_config(str(settings.dagster_home))
