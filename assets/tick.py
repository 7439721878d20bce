"""Evaluate a sensor once and run what it asks for, in this process: what the daemon does."""

import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import TextIO
from uuid import uuid4

import dagster as dg
import polars as pl

from agora.registry import SYSTEMS
from agora.settings import Settings
from agora.stores.decisions import read
from agora.stores.lake import Lake
from assets.run import QUIET, Progress
from resources.instance import instance


def tick(here: Settings, sensor: str, out: TextIO = sys.stdout) -> list[str]:
    """Evaluate a sensor and execute its runs; returns what failed and why.

    Args:
        here: The instance's settings.
        sensor: Its name, as `fraud_retrain`.
        out: Where progress goes.
    """
    # Imported here: it imports all assets.
    from definitions import definitions_for

    loaded, store = definitions_for(here), instance(here)
    repository = loaded.get_repository_def()
    if not repository.has_sensor_def(sensor):
        return [f"there is no sensor {sensor!r}"]
    context = dg.build_sensor_context(instance=store, repository_def=repository, sensor_name=sensor)
    definition = repository.get_sensor_def(sensor)
    asked = definition.evaluate_tick(context)
    if not asked.run_requests:
        print(f"    {sensor}: {asked.skip_message or 'asks for nothing'}", file=out, flush=True)
    # A sensor with one job does not name it in each request.
    jobs = [each.job_name or definition.job_name for each in asked.run_requests]
    return [
        failure
        for job, each in zip(jobs, asked.run_requests, strict=True)
        for failure in _run(here, loaded, str(job), each, out)
    ]


def _run(
    here: Settings, loaded: dg.Definitions, job: str, request: dg.RunRequest, out: TextIO
) -> list[str]:
    store, run_id, progress = instance(here), str(uuid4()), Progress(out)
    print(f"    {job} for {request.run_key}", file=out, flush=True)
    store.add_event_listener(run_id, progress)
    log = here.home / "logs" / f"{run_id}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file, redirect_stdout(file), redirect_stderr(file):
        result = loaded.resolve_job_def(job).execute_in_process(
            instance=store,
            run_id=run_id,
            asset_selection=sorted(request.asset_selection) if request.asset_selection else None,
            tags=dict(request.tags),
            run_config={**QUIET, **(request.run_config or {})},
            raise_on_error=False,
        )
    refused = _said(here, run_id, out)
    if result.success or refused:
        return []
    return [*(progress.failures or ["the run failed"]), f"log: {log}"]


def _said(here: Settings, run_id: str, out: TextIO) -> bool:
    """Print what the run decided; whether it refused a version, which is no fault of the run."""
    lake = Lake(here.lake, here.lake_options)
    found = pl.concat([read(lake, system) for system in SYSTEMS]).filter(run_id=run_id)
    for each in found.iter_rows(named=True):
        why = "; ".join(each["reasons"] or [])
        words = f"{each['system']} {each['version']} {each['action']} by {each['by']}: {why}"
        print(f"    {words}", file=out, flush=True)
    return "refused" in found["action"]
