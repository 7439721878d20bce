"""Materialize assets for a range of days: `python -m assets.run --start D --end D [--select S]`.

Steps run in this process, a line for each on standard output; what they print goes to a log file.
The run is recorded in the instance, so that the UI shows it. When something failed, the exit code
is 1 and the reason is on standard error.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from datetime import date, timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, TextIO
from uuid import uuid4

import dagster as dg

from agora.settings import Settings, settings
from assets.partitions import range_tags
from resources.instance import instance

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Progress:
    """Prints a line when a step starts and when it ends."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._started: dict[str, float] = {}
        self._rows: dict[str, dict[str, int]] = {}
        self.failures: list[str] = []

    def __call__(self, entry: dg.EventLogEntry) -> None:
        """Take an event of the run."""
        event = entry.dagster_event
        if event is None or not event.step_key:
            return
        step = event.step_key
        if event.event_type == dg.DagsterEventType.STEP_START:
            self._started[step] = perf_counter()
            self._say(f"{step}: started")
        elif event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
            self._materialized(step, event.step_materialization_data.materialization)
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            self._checked(event.asset_check_evaluation_data)
        elif event.event_type == dg.DagsterEventType.STEP_SUCCESS:
            rows = self._rows.get(step, {})
            counted = f", {len(rows)} tables, {sum(rows.values()):,} rows" if rows else ""
            self._say(f"{step}: finished in {self._seconds(step):.1f} s{counted}")
        elif event.event_type == dg.DagsterEventType.STEP_FAILURE:
            self.failures.append(f"{step}: {reason_of(event)}")
            self._say(f"{step}: FAILED after {self._seconds(step):.1f} s")

    def _materialized(self, step: str, materialization: dg.AssetMaterialization) -> None:
        rows = materialization.metadata.get("dagster/row_count")
        if rows is not None:
            key = materialization.asset_key.to_user_string()
            self._rows.setdefault(step, {})[key] = int(rows.value or 0)

    def _checked(self, check: dg.AssetCheckEvaluation) -> None:
        if not check.passed:
            words = f"check {check.check_name} of {check.asset_key.to_user_string()} failed"
            self._say(f"{words}: {check.description}" if check.description else words)

    def _seconds(self, step: str) -> float:
        return perf_counter() - self._started.get(step, perf_counter())

    def _say(self, line: str) -> None:
        print(f"    {line}", file=self._out, flush=True)


def selected(select: str) -> dg.AssetSelection:
    """The selection, with what one step makes together: a raw table and its quarantine."""
    return dg.AssetSelection.from_string(select).required_multi_asset_neighbors()


def reason_of(event: dg.DagsterEvent) -> str:
    """The innermost error's message."""
    error: Any = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return (error.message.strip() if error else event.message) or "no reason given"


def materialize_range(
    here: Settings,
    start: date,
    end: date,
    select: str = "*",
    out: TextIO = sys.stdout,
    as_of: date | None = None,
) -> list[str]:
    """Materialize what `select` names for the days [start, end); returns what failed and why.

    Args:
        here: The instance's settings.
        start: First day.
        end: Day after the last.
        select: Dagster's asset selection, as `key:"raw/payments"+ and not group:fraud`.
        out: Where progress goes.
        as_of: What training sets may know; all that is built when None.
    """
    # Imported here: it imports all assets, and the progress of a run needs none of them.
    from definitions import definitions_for

    loaded = definitions_for(here)
    job = loaded.resolve_implicit_global_asset_job_def()
    graph = loaded.get_repository_def().asset_graph
    try:
        keys = selected(select).resolve(graph)
    except dg.DagsterError as error:
        return [f"--select {select!r}: {error}"]
    if not keys:
        return [f"--select {select!r} names no asset"]
    progress = Progress(out)
    store, run_id = instance(here), str(uuid4())
    store.add_event_listener(run_id, progress)
    log = here.home / "logs" / f"{run_id}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file, redirect_stdout(file), redirect_stderr(file):
        result = job.execute_in_process(
            instance=store,
            run_id=run_id,
            asset_selection=sorted(keys),
            tags=range_tags(str(start), str(end - timedelta(days=1))),
            run_config=QUIET | _training_sets(keys, as_of),
            raise_on_error=False,
        )
    if result.success:
        return []
    return [*(progress.failures or ["the run failed"]), f"log: {log}"]


def _training_sets(keys: Iterable[dg.AssetKey], as_of: date | None) -> dict[str, Any]:
    """Configuration of the selected training sets."""
    steps = [key.path[0] for key in keys if key.path[-1] == "training_set"] if as_of else []
    known = {"config": {"as_of": f"{as_of}T00:00:00+00:00"}}
    return {"ops": {f"{system}__training_set": known for system in steps}} if steps else {}


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m assets.run", description=__doc__)
    parser.add_argument("--start", type=date.fromisoformat, required=True, help="first day")
    parser.add_argument("--end", type=date.fromisoformat, required=True, help="day after the last")
    parser.add_argument("--select", default="*", help="Dagster asset selection")
    parser.add_argument("--as-of", type=date.fromisoformat, help="what training sets may know")
    parser.add_argument("--then", default="", help="sensor that is evaluated afterwards, once")
    given = parser.parse_args(arguments)
    if given.end <= given.start:
        parser.error(f"--end {given.end} is not after --start {given.start}")
    warnings.simplefilter("ignore")
    failures = materialize_range(
        settings(), given.start, given.end, given.select, as_of=given.as_of
    )
    if given.then and not failures:
        from assets.tick import tick

        failures = tick(settings(), given.then)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    # The repository's root holds definitions.py.
    sys.path.insert(0, str(Path(__file__).parents[1]))
    raise SystemExit(main())
