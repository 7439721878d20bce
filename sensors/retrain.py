"""What starts a training besides the clock: drift, decayed performance, new labels of analysts."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime

import dagster as dg

from agora.registry import SYSTEMS
from agora.retraining import Find, Kind, Stimulus, stimuli
from agora.settings import Settings
from agora.stores.lake import Lake
from agora.stores.models import ModelRegistry
from agora.system import System
from assets.decisions import STIMULUS
from assets.learning import known_until
from sensors.runs import RUNNING


def retrain_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """`<system>_retrain` of every system."""
    return [retrain_sensor(system, settings) for system in SYSTEMS.values()]


def retrain_sensor(
    system: System,
    settings: Settings,
    *,
    find: Mapping[Kind, Find] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> dg.SensorDefinition:
    """`<system>_retrain`: one training for what calls for one, at most one in a cool-down.

    Args:
        system: Whose.
        settings: The instance.
        find: What to look for on the newest monitored day; the monitoring's findings by default.
        now: The clock.
    """

    @dg.sensor(
        name=f"{system.name}_retrain",
        job_name=job_of(system),
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Drift, decayed performance or new labels start one training.",
    )
    def retrain(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        lake = Lake(settings.lake, settings.lake_options)
        looks = MONITORED if find is None else find
        found = stimuli(system, lake, ModelRegistry(settings), looks, until(lake, system))
        answered: dict[str, str] = json.loads(context.cursor or "{}")
        new = [
            each
            for each in found
            if answered.get(each.kind) != each.identity
            and not is_answered(context.instance, system, each)
        ]
        if not new:
            return dg.SkipReason("nothing calls for a training")
        if reason := held(context.instance, system, now()):
            return dg.SkipReason(f"{', '.join(map(str, new))} wait: {reason}")
        cursor = answered | {each.kind: each.identity for each in new}
        return dg.SensorResult(run_requests=[request_of(new)], cursor=json.dumps(cursor))

    return retrain


def job_of(system: System) -> str:
    """Name of the job that trains a system."""
    return f"{system.name}_training"


def request_of(new: list[Stimulus]) -> dg.RunRequest:
    """One run that answers everything that calls for it now."""
    names = " ".join(map(str, new))
    return dg.RunRequest(
        # Dagster starts no second run with the same key, whatever becomes of the cursor.
        run_key=names,
        tags={STIMULUS: names, **{tag_of(each): each.identity for each in new}},
    )


def tag_of(stimulus: Stimulus) -> str:
    """Run tag that holds a stimulus' identity."""
    return f"{STIMULUS}.{stimulus.kind}"


def is_answered(instance: dg.DagsterInstance, system: System, stimulus: Stimulus) -> bool:
    """Whether a run was started for it, alone or together with others."""
    tags = {tag_of(stimulus): stimulus.identity}
    return instance.get_runs_count(dg.RunsFilter(job_name=job_of(system), tags=tags)) > 0


def held(instance: dg.DagsterInstance, system: System, now: datetime) -> str:
    """Why no training may start now; empty when one may."""
    if (run_id := training(instance, system)) is not None:
        return f"run {run_id[:8]} is training"
    newest = instance.get_run_records(dg.RunsFilter(job_name=job_of(system)), limit=1)
    if newest:
        free_at = newest[0].create_timestamp + system.retraining.cooldown
        if now < free_at:
            return f"cool-down until {free_at:%Y-%m-%d %H:%M}"
    return ""


def training(instance: dg.DagsterInstance, system: System) -> str | None:
    """A run that trains the system at this moment, by whatever job."""
    model = dg.AssetKey([system.name, "model"])
    for run in instance.get_runs(dg.RunsFilter(statuses=RUNNING)):
        if run.job_name == job_of(system) or model in (run.asset_selection or ()):
            return run.run_id
    return None


def until(lake: Lake, system: System) -> datetime | None:
    """What a training would know; None before all features were built."""
    built = all(lake.exists(each.table) for each in system.feature_sets)
    return known_until(lake, system) if built else None


def drift(lake: Lake, system: System, day: date) -> str:
    """Whether a day's requests differ from those before."""
    from agora.monitoring import drift_found

    found = drift_found(lake, system.name, day)
    named = ", ".join(found.features) or "all columns together"
    return f"{day} differs from the days before it in {named}" if found.alarmed else ""


def decay(lake: Lake, system: System, day: date) -> str:
    """Whether the model has become worse, by the labels that have arrived."""
    from agora.monitoring import decay_found

    found = decay_found(lake, system.name, day)
    if found is None or not found.decayed:
        return ""
    return f"{found.metric} {found.measured} until {day}, {found.reported} in the report"


MONITORED: Mapping[Kind, Find] = {"drift": drift, "decay": decay}
