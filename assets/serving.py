"""From a model to answers: online features, bento, batch predictions, the live service's log."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import partial

import dagster as dg

from agora.dataset import end_of
from agora.deployment import DeploymentError, deploy
from agora.evaluation import Report
from agora.online_features import publish
from agora.pipeline import Pipeline, is_of_items
from agora.serving import Predictor
from agora.settings import Settings
from agora.stores.adjustments import adjusted
from agora.stores.drain import PARTITION, drain
from agora.stores.indexes import attach
from agora.stores.lake import Lake, Window
from agora.stores.models import ModelRegistry
from agora.stores.online import OnlineStore
from agora.system import System
from assets.decisions import decide, failed_checks
from assets.learning import CHALLENGER
from assets.partitions import DAILY, ONE_RUN, days_of
from assets.profile import counts, table_metadata
from assets.stage import asset_of, check_spec, keys_of
from resources.compute import SCORING


def features(system: System, tables: Sequence[str]) -> dg.AssetsDefinition:
    """`<system>/features`."""
    asset = asset_of(system)

    @asset(
        "features",
        kinds={"redis"},
        deps=keys_of(tables),
        partitions_def=DAILY,
        backfill_policy=ONE_RUN,
        check_specs=[
            check_spec(
                system, "features", "fresh", "No feature set lags behind the published days."
            )
        ],
        description="One row per entity and feature set in the online store: the newest so far.",
    )
    def published(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        online: dg.ResourceParam[OnlineStore],
    ) -> dg.MaterializeResult:
        start, end = days_of(context)
        rows = {each.name: publish(lake, online, each, start, end) for each in system.feature_sets}
        lags = {
            each.name: end - end_of(lake, each.table, "feature_date")
            for each in system.feature_sets
        }
        late = [each.name for each in system.feature_sets if lags[each.name] > each.freshness]
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": sum(rows.values()),
                "written": counts("feature set", rows),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="fresh", passed=not late, description=", ".join(late)
                )
            ],
        )

    return published


def bento(system: System) -> dg.AssetsDefinition:
    """`<system>/bento`."""
    asset = asset_of(system)

    @asset(
        "bento",
        kinds={"bentoml"},
        deps=[[system.name, "evaluation"], [system.name, "features"]],
        description="One deployment per champion: built, tested in a fresh process, then served.",
    )
    def deployed(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        models: dg.ResourceParam[ModelRegistry],
        settings: dg.ResourceParam[Settings],
    ) -> dg.MaterializeResult:
        version, before = str(models.alias(system, CHALLENGER)), models.alias(system)
        report = models.report(system, CHALLENGER)
        say = partial(decide, context.run, lake, models, system, version, report=report)
        refuse_what_is_closed(system, report, context.instance, say)
        try:
            deployment = deploy(system, version, settings, run_id=context.run.run_id)
        except DeploymentError as error:
            say("refused", by="deployment", reasons=[str(error)])
            raise
        models.promote(system, version)
        say("promoted", by="gate", reasons=system.gate.check(report).held, before=before)
        return dg.MaterializeResult(
            metadata={
                "version": version,
                "bento": deployment.bento,
                "golden_requests": len(deployment.golden),
                "deployed_at": dg.MetadataValue.timestamp(deployment.deployed_at),
            }
        )

    return deployed


def refuse_what_is_closed(
    system: System, report: Report, instance: dg.DagsterInstance, say: Callable[..., bool]
) -> None:
    """Stop where the gate or a blocking check is closed.

    A run of the bento alone does not see the checks that block it elsewhere.
    """
    closed = {"gate": "; ".join(system.gate.check(report).reasons)}
    closed |= {f"check:{name}": why for name, why in failed_checks(instance, system).items()}
    for by, reason in closed.items():
        if reason:
            say("refused", by=by, reasons=[reason])
            raise dg.Failure(f"the {by.replace(':', ' ')} is closed: {reason}")


def predictions(system: System, tables: Sequence[str]) -> dg.AssetsDefinition:
    """`<system>/predictions`."""
    asset = asset_of(system)

    @asset(
        "predictions",
        kinds={"deltalake", "polars"},
        tags=SCORING,
        deps=[[system.name, "index" if system.items else "bento"], *keys_of(tables)],
        partitions_def=DAILY,
        backfill_policy=ONE_RUN,
        description="One row per request of the day, scored by the champion as of then.",
    )
    def scored(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        models: dg.ResourceParam[ModelRegistry],
        settings: dg.ResourceParam[Settings],
    ) -> dg.MaterializeResult:
        predictor = Predictor(system, in_force(system, models, settings), lake=lake)
        table, rows, decisions = f"{system.name}/predictions", {}, {}
        # A commit per day: memory stays that of a day, and a run that dies keeps the days before.
        for day in map(date.fromisoformat, context.partition_keys):
            frame = predictor.predict_batch(system.requests(lake, day), day)
            window = Window(PARTITION, day, day + timedelta(days=1))
            lake.write(table, frame, window=window, metadata={"dagster_run_id": context.run.run_id})
            rows[str(day)] = frame.height
            for decision, count in frame["decision"].value_counts().iter_rows():
                decisions[str(decision)] = decisions.get(str(decision), 0) + count
        return dg.MaterializeResult(
            metadata={
                **table_metadata(lake, table),
                "version": predictor.pipeline.version,
                "rows_by_day": counts("day", rows),
                "decisions": counts("decision", decisions),
            }
        )

    return scored


def in_force(system: System, models: ModelRegistry, settings: Settings) -> Pipeline:
    """The champion as it serves: over the published index, or with the adjustments in force."""
    champion = models.load(system)
    if is_of_items(champion):
        return attach(champion, settings.indexes, system.name).pipeline
    return adjusted(champion, settings.adjustments, system.name, system.entities)


def prediction_log(system: System) -> dg.AssetsDefinition:
    """`<system>/prediction_log`."""
    asset = asset_of(system)

    @asset(
        "prediction_log",
        kinds={"deltalake"},
        deps=[[system.name, "bento"]],
        description="One row per answer of the live service, drained from its log exactly once.",
    )
    def drained(
        lake: dg.ResourceParam[Lake], settings: dg.ResourceParam[Settings]
    ) -> dg.MaterializeResult:
        added = drain(settings.prediction_log / system.name, lake)
        table = f"predictions/{system.name}"
        found = table_metadata(lake, table) if lake.exists(table) else {}
        return dg.MaterializeResult(metadata={"rows_added": added, **found})

    return drained
