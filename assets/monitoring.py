"""After the answers: what became known of them, and how the system does day by day."""

from collections.abc import Sequence
from datetime import date, datetime
from functools import partial

import dagster as dg

from agora.monitoring import (
    Champion,
    Monitored,
    monitor,
    of_training,
    ripened,
    table_of,
)
from agora.monitoring.summary import figures, markdown, said
from agora.outcomes import join_outcomes
from agora.settings import Settings
from agora.stores.lake import Lake
from agora.stores.models import CHAMPION, ModelRegistry
from agora.system import System
from assets.learning import known_until
from assets.partitions import DAILY, ONE_RUN
from assets.profile import table_metadata
from assets.stage import asset_of, check_spec, keys_of
from resources.compute import SCORING


class MonitoringConfig(dg.Config):
    """What may be known of the monitored days."""

    as_of: str = ""
    """Only labels that arrived before this time (ISO 8601) count; empty: the last day's end."""


def outcomes(system: System, tables: Sequence[str]) -> dg.AssetsDefinition:
    """`<system>/outcomes`."""
    asset = asset_of(system)

    @asset(
        "outcomes",
        kinds={"deltalake", "duckdb"},
        deps=[[system.name, "predictions"], [system.name, "prediction_log"], *keys_of(tables)],
        description="One row per prediction and label event, joined as labels arrive.",
    )
    def joined(lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        found = join_outcomes(system, lake)
        return dg.MaterializeResult(
            metadata={
                **table_metadata(lake, f"{system.name}/outcomes"),
                "rows_added": found.added,
                "label_events": found.events,
                "label_events_unmatched": found.unmatched_events,
                "predictions": found.predictions,
                "predictions_unlabelled": found.unlabelled,
            }
        )

    return joined


def monitoring(system: System) -> dg.AssetsDefinition:
    """`<system>/monitoring` and its check `drift`."""
    asset = asset_of(system)

    @asset(
        "monitoring",
        kinds={"deltalake", "evidently"},
        tags=SCORING,
        deps=[[system.name, "outcomes"], [system.name, "training_set"]],
        partitions_def=DAILY,
        backfill_policy=ONE_RUN,
        check_specs=[
            check_spec(
                system,
                "monitoring",
                "drift",
                "The newest day is as like the days before it as days usually are.",
            )
        ],
        description="One row per day, metric and slice: traffic, performance, drift, latency.",
    )
    def monitored(
        context: dg.AssetExecutionContext,
        config: MonitoringConfig,
        lake: dg.ResourceParam[Lake],
        models: dg.ResourceParam[ModelRegistry],
        settings: dg.ResourceParam[Settings],
    ) -> dg.MaterializeResult:
        as_of = datetime.fromisoformat(config.as_of) if config.as_of else known_until(lake, system)
        champion, reports = _champion(models, system), settings.home / "reports"
        days = [date.fromisoformat(key) for key in context.partition_keys]
        again = ripened(system, lake, days[0], as_of)
        watch = partial(monitor, system, lake, champion=champion)
        training = of_training(system, lake)
        found = [
            # A page takes longer than all figures of a day: a run over many days draws the newest.
            watch(day, as_of, training=training, reports=reports if day == days[-1] else None)
            for day in days
        ]
        return _result(lake, system, [each for each in found if len(each.measures)], again)

    return monitored


def _champion(models: ModelRegistry, system: System) -> Champion | None:
    """The champion's report, where there is a champion."""
    version = models.alias(system)
    if version is None:
        return None
    report = models.report(system, CHAMPION)
    estimate = report.metrics["candidate"][report.primary]
    return Champion(version=version, metric=report.primary, estimate=estimate)


def _result(
    lake: Lake, system: System, found: list[Monitored], again: list[date]
) -> dg.MaterializeResult:
    """The newest monitored day in metadata, a line for each of the others."""
    metadata: dict[str, dg.MetadataValue | float | str | list[str]] = {
        "measured_again": [str(day) for day in again]
    }
    alarmed, words = False, "no predictions on these days"
    if found:
        newest = found[-1]
        alarmed, words = newest.drift.alarmed, f"{newest.day}: {said(newest.drift)}"
        metadata |= {
            **table_metadata(lake, table_of(system.name)),
            **figures(newest.measures),
            "day": str(newest.day),
            "summary": dg.MetadataValue.md(markdown(newest.measures, newest.drift)),
            "drift": dg.MetadataValue.md(
                "\n".join(f"- {each.day}: {said(each.drift)}" for each in found)
            ),
        }
        if newest.report:
            metadata["evidently"] = dg.MetadataValue.path(str(newest.report))
    return dg.MaterializeResult(
        metadata=metadata,
        check_results=[
            dg.AssetCheckResult(
                check_name="drift",
                passed=not alarmed,
                severity=dg.AssetCheckSeverity.WARN,
                description=words,
            )
        ],
    )
