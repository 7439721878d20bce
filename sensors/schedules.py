"""Jobs and the clock: the day's partition every night, a system's training on demand."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from agora.registry import SYSTEMS
from agora.settings import Settings
from agora.system import System
from agora.tables import TABLES
from assets.decisions import STIMULUS
from assets.partitions import range_tags
from sensors.retrain import job_of, training

DAILY_MART = dg.AssetKey(["marts", "payments"])
"""Built in every daily run: a day whose raw tables are newer has changed since."""

STAGES = ("features", "predictions", "prediction_log", "outcomes", "monitoring")
"""What a system does every day, whether it is trained or not."""

FULL_DAY = 6
"""Sunday: a week's small steps are not gone on from for ever."""

INDEX = "index"
"""What a system of items has too: a new index every day, and one with each new model."""


def stages_of(system: System) -> tuple[str, ...]:
    """What this system does every day."""
    if system.items is None:
        return STAGES
    return (INDEX, *STAGES, *(("lists",) if system.items.keyed_by else ()))


daily_job = dg.define_asset_job(
    "daily",
    selection=(
        dg.AssetSelection.groups("raw", "quarantine", "staging", "marts", "features")
        | dg.AssetSelection.assets(
            *([name, stage] for name, system in SYSTEMS.items() for stage in stages_of(system))
        )
    ),
    description="A day from landing files to online features, predictions, outcomes, monitoring.",
)


def training_jobs() -> list[Any]:
    """`<system>_training`: from the training set to the deployed bento."""
    stages = ("training_set", "model", "evaluation", "bento")
    return [
        dg.define_asset_job(
            f"{name}_training",
            selection=dg.AssetSelection.assets(
                *([name, stage] for stage in (*stages, *([INDEX] if system.items else ())))
            ),
            description=f"Train, evaluate and, if the gate holds, deploy {name}.",
        )
        for name, system in SYSTEMS.items()
    ]


def daily_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Runs the job `daily` at 02:00 UTC; stopped at first except in production."""
    in_production = settings.environment == "production"

    @dg.schedule(
        name="daily",
        job=daily_job,
        cron_schedule="0 2 * * *",
        execution_timezone="UTC",
        default_status=(
            dg.DefaultScheduleStatus.RUNNING if in_production else dg.DefaultScheduleStatus.STOPPED
        ),
        description="Yesterday, and all days since the oldest that changed after it was built.",
    )
    def daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        now = context.scheduled_execution_time or datetime.now(UTC)
        yesterday = str(now.date() - timedelta(days=1))
        first = min([*changed_days(context.instance), yesterday])
        return dg.RunRequest(run_key=yesterday, tags=range_tags(first, yesterday))

    return daily


def training_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """`<system>_training` at 04:00 UTC, after the day's data; stopped except in production."""
    return [training_schedule(system, settings) for system in SYSTEMS.values()]


def training_schedule(system: System, settings: Settings) -> dg.ScheduleDefinition:
    """One training a day, unless one is running."""
    in_production = settings.environment == "production"

    @dg.schedule(
        name=f"{system.name}_training",
        job_name=job_of(system),
        cron_schedule="0 4 * * *",
        execution_timezone="UTC",
        default_status=(
            dg.DefaultScheduleStatus.RUNNING if in_production else dg.DefaultScheduleStatus.STOPPED
        ),
        description="A challenger a day, on all that has become known; on Sundays in full.",
    )
    def trained(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if (run_id := training(context.instance, system)) is not None:
            return dg.SkipReason(f"run {run_id[:8]} is training")
        now = context.scheduled_execution_time or datetime.now(UTC)
        return dg.RunRequest(
            run_key=str(now.date()),
            run_config=how(system, now.date()),
            tags={STIMULUS: f"schedule/{now.date()}"},
        )

    return trained


def how(system: System, day: date) -> dict[str, Any]:
    """Run configuration of a day's training: from the champion on, on Sundays from nothing.

    A pipeline that cannot go on is trained in full every day; the asset sees to that.
    """
    is_warm = day.weekday() != FULL_DAY
    return {"ops": {f"{system.name}__model": {"config": {"warm": is_warm}}}}


def changed_days(instance: dg.DagsterInstance) -> list[str]:
    """Days with a raw table newer than the marts: a repaired file, or a night that was missed."""
    event = dg.DagsterEventType.ASSET_MATERIALIZATION
    built = instance.get_latest_storage_id_by_partition(DAILY_MART, event)
    changed: set[str] = set()
    for table in TABLES:
        took = instance.get_latest_storage_id_by_partition(dg.AssetKey(["raw", table]), event)
        changed |= {day for day, storage_id in took.items() if storage_id > built.get(day, -1)}
    return sorted(changed)
