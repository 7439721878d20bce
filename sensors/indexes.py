"""Within the day: what lands in a catalogue is in the indexes minutes later."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from agora.registry import SYSTEMS
from agora.system import System
from sensors.alerts import failure
from sensors.chains import Chain
from sensors.runs import in_progress

NAME, DAILY_JOB = "indexes", "daily"
INDEX = "index"
SPACING = timedelta(minutes=5)
"""Between the starts of two updates: what each makes is kept for a week."""
LANDED = "raw"
OTHERS = (LANDED, "quarantine")


def updatable() -> dict[str, System]:
    """Systems whose index follows their catalogue within the day."""
    return {name: system for name, system in SYSTEMS.items() if system.items and system.items.reads}


def tables_of(systems: Iterable[System]) -> set[dg.AssetKey]:
    """What their catalogues are made of."""
    reads = {table for system in systems if system.items for table in system.items.reads}
    return {dg.AssetKey(table.split("/")) for table in reads}


def indexes_job() -> Any:
    """`indexes`: the tables of the catalogues from what has landed, then the indexes over them."""
    made = dg.AssetSelection.assets(*tables_of(updatable().values())).upstream()
    return dg.define_asset_job(
        NAME,
        selection=(made - dg.AssetSelection.groups(*OTHERS))
        | dg.AssetSelection.assets(*([name, INDEX] for name in updatable())),
        description="The catalogues as known now, and the indexes over them.",
    )


def index_sensor(
    systems: Mapping[str, System] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> dg.SensorDefinition:
    """`indexes`: one update of all systems whose catalogue has landed anew.

    It keeps no cursor: whoever made an index or what it is made of, one that stands behind is seen.
    What was refused, or failed, is tried again an hour later.

    Args:
        systems: Those that are updated; all that can be by default.
        now: The clock.
    """

    @dg.sensor(
        name=NAME,
        job_name=NAME,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="A product that is listed, re-priced or sold out is in the indexes in minutes.",
    )
    def updated(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        assert context.repository_def is not None, "the daemon gives one"
        repository, instance = context.repository_def, context.instance
        chosen = (updatable() if systems is None else systems).values()
        chains = {each.name: chain_of(instance, repository, each) for each in chosen}
        behind = [each for each in chosen if chains[each.name].is_behind]
        if not behind:
            return dg.SkipReason("no catalogue has changed")
        wanted = {dg.AssetKey([each.name, INDEX]) for each in behind}
        if any(chains[each.name].tables_are_behind for each in behind):
            wanted |= above(behind, repository, lambda layer: layer not in OTHERS)
        landed = above(behind, repository, lambda layer: layer == LANDED)
        names = ", ".join(each.name for each in behind)
        if reason := held(instance, wanted, landed, now()):
            return dg.SkipReason(f"{names} wait: {reason}")
        identity = " ".join(chains[each.name].identity for each in behind)
        # Not twice within an hour for the same, whatever becomes of the run.
        text = f"{names} {identity} {now():%Y-%m-%dT%H}"
        key = hashlib.sha256(text.encode()).hexdigest()[:24]
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=key, asset_selection=sorted(wanted))]
        )

    return updated


def chain_of(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, system: System
) -> Chain:
    """From the raw tables of a system's catalogue to its index."""
    landed = above([system], repository, lambda layer: layer == LANDED)
    return Chain.of(instance, landed, tables_of([system]), dg.AssetKey([system.name, INDEX]))


def above(
    systems: Iterable[System],
    repository: dg.RepositoryDefinition,
    is_wanted: Callable[[str], bool],
) -> set[dg.AssetKey]:
    """The systems' catalogues and what they are made of, in the layers that are wanted."""
    selection = dg.AssetSelection.assets(*tables_of(systems)).upstream()
    return {key for key in selection.resolve(repository.asset_graph) if is_wanted(key.path[0])}


def held(
    instance: dg.DagsterInstance,
    wanted: set[dg.AssetKey],
    landed: set[dg.AssetKey],
    now: datetime,
) -> str:
    """Why no update may start now; empty when one may."""
    if (run := in_progress(instance, (NAME, DAILY_JOB), wanted)) is not None:
        return f"run {run.run_id[:8]} is at work"
    newest = instance.get_run_records(dg.RunsFilter(job_name=NAME), limit=1)
    if newest and now < (free_at := newest[0].create_timestamp + SPACING):
        return f"the next update is due at {free_at:%H:%M:%S}"
    for key in sorted(landed):
        # A file that was refused is not carried on; it is repaired where it landed.
        if (said := failure(instance, dg.AssetCheckKey(key, "schema"))) is not None:
            return f"{key.to_user_string()} is refused: {said}"
    return ""
