"""Runs that have not ended."""

from collections.abc import Iterable

import dagster as dg
from dagster import AssetKey, DagsterInstance

RUNNING = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def in_progress(
    instance: DagsterInstance, jobs: Iterable[str], keys: set[AssetKey]
) -> dg.DagsterRun | None:
    """A run of one of the jobs, or of one of the assets, that has not ended."""
    names = set(jobs)
    for run in instance.get_runs(dg.RunsFilter(statuses=RUNNING)):
        if run.job_name in names or keys & (run.asset_selection or set()):
            return run
    return None
