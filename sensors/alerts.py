"""Tells what is wrong: budgets, service and data by `agora.alerts`, checks and runs by Dagster."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from agora.alerts import NAMES, Alert, Situation, deliver, firing
from agora.registry import SYSTEMS
from agora.settings import Settings
from agora.system import System
from agora.tables import TABLES

BUILT = ("staging", "marts", "features")


def alert_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """`<system>_alerts` of every system."""
    return [alert_sensor(system, settings) for system in SYSTEMS.values()]


def alert_sensor(system: System, settings: Settings) -> dg.SensorDefinition:
    """`<system>_alerts`: looks once a minute, tells each alert once."""

    @dg.sensor(
        name=f"{system.name}_alerts",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Budgets, checks, runs, log and service; to the webhook or the log.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        now = datetime.now(UTC)
        graph = context.repository_def.asset_graph if context.repository_def else None
        found = firing(Situation.of(system, settings, now))
        if graph is not None:
            found += failed_checks(context.instance, graph.asset_check_keys, system)
        found += failed_runs(context.instance, system)
        delivered = deliver(settings, system.name, found, now)
        told = ", ".join(f"{each['key']} {each['status']}" for each in delivered)
        return dg.SkipReason(f"{len(found)} alerts; told: {told or 'nothing new'}")

    return alerts


def failed_checks(
    instance: dg.DagsterInstance, keys: set[dg.AssetCheckKey], system: System
) -> Iterator[Alert]:
    """Checks of the system and of what it reads whose newest evaluation failed."""
    raw = {table.name for table in TABLES.values() if system.name in table.consumers}
    for key in sorted(keys):
        layer, table = key.asset_key.path[0], key.asset_key.path[-1]
        if layer == system.name or layer in BUILT or (layer == "raw" and table in raw):
            name = "warehouse" if layer in BUILT else key.name
            if name in NAMES and (said := failure(instance, key)) is not None:
                subject = f"{key.asset_key.to_user_string()}/{key.name}"
                yield Alert(system.name, name, f"check {subject} failed: {said}", subject)


def failure(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> str | None:
    """What the newest evaluation of a check said, if it failed."""
    for entry in instance.event_log_storage.get_asset_check_execution_history(key, limit=5):
        event = entry.event.dagster_event if entry.event else None
        # A planned evaluation that has not come yet says nothing.
        if event and event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            found = event.asset_check_evaluation_data
            return None if found.passed else found.description or "no reason given"
    return None


def failed_runs(instance: dg.DagsterInstance, system: System) -> Iterator[Alert]:
    """Jobs whose newest run failed."""
    indexes = ("indexes",) if system.items and system.items.reads else ()
    for job in ("daily", f"{system.name}_training", *indexes):
        newest = next(iter(instance.get_runs(dg.RunsFilter(job_name=job), limit=1)), None)
        if newest is not None and newest.status == dg.DagsterRunStatus.FAILURE:
            yield Alert(system.name, "failed-run", f"{job}: run {newest.run_id[:8]} failed", job)
