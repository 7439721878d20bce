"""The life of a system's model, the same for every system: features, training set, model, evaluation, bento, predictions.

`lifecycle(SYSTEM)` gives the assets; what they do is in `agora`, here is what Dagster must know of it.
"""

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import dagster as dg
import pyarrow as pa

from agora.dataset import TrainingSet, build_training_set
from agora.deployment import deploy
from agora.evaluation import CANDIDATE, Report
from agora.online_features import publish
from agora.plots import plots
from agora.serving import Predictor
from agora.settings import Settings
from agora.stores.drain import PARTITION, drain
from agora.stores.lake import Lake, Window
from agora.stores.models import ModelRegistry
from agora.stores.online import OnlineStore
from agora.system import System
from assets.partitions import DAILY, ONE_RUN, days_of
from assets.profile import counts, table_metadata
from resources.compute import LIGHT, SCORING, TRAINING

CHALLENGER = "challenger"


class TrainingSetConfig(dg.Config):
    """What a training set may use."""

    as_of: str = ""
    """Only what arrived before this time (ISO 8601, UTC); the end of the last built day when empty."""


def asset_of(system: System) -> Callable[..., Callable[..., dg.AssetsDefinition]]:
    """`@dg.asset` with the key, group, owner and stage of a system's asset."""

    def asset(stage: str, *, kinds: set[str], tags: dict[str, Any] = LIGHT, **options: Any) -> Any:
        # The prefix belongs into the decorator: two systems' functions share their names.
        return dg.asset(
            name=stage,
            key_prefix=system.name,
            group_name=system.name,
            owners=[system.owner],
            kinds=kinds,
            tags={"stage": stage},
            op_tags=tags,
            **options,
        )

    return asset


def lifecycle(system: System, reads: Sequence[str]) -> list[dg.AssetsDefinition]:
    """All assets of a system.

    Args:
        system: The system.
        reads: Lake tables that its labelled rows and requests come from, as `marts/payments`.
    """
    tables = [feature_set.table for feature_set in system.feature_sets]
    return [
        features(system, tables),
        training_set(system, [*tables, *reads]),
        model(system),
        evaluation(system),
        bento(system),
        predictions(system, [*tables, *reads]),
        prediction_log(system),
    ]


def features(system: System, tables: Sequence[str]) -> dg.AssetsDefinition:
    """`<system>/features`."""
    asset = asset_of(system)

    @asset(
        "features",
        kinds={"redis"},
        deps=_keys(tables),
        partitions_def=DAILY,
        backfill_policy=ONE_RUN,
        check_specs=[
            _check(system, "features", "fresh", "No feature set lags behind the published days.")
        ],
        description="One row per entity and feature set in the online store: the newest of the days so far.",
    )
    def published(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        online: dg.ResourceParam[OnlineStore],
    ) -> dg.MaterializeResult:
        start, end = days_of(context)
        rows = {each.name: publish(lake, online, each, start, end) for each in system.feature_sets}
        lags = {each.name: end - last_day(lake, each.table) for each in system.feature_sets}
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


def training_set(system: System, tables: Sequence[str]) -> dg.AssetsDefinition:
    """`<system>/training_set`."""
    asset = asset_of(system)

    @asset(
        "training_set",
        kinds={"deltalake", "polars"},
        tags=TRAINING,
        deps=_keys(tables),
        description="One row per labelled event with its features as they were known then, split by time.",
    )
    def built(
        context: dg.AssetExecutionContext,
        config: TrainingSetConfig,
        lake: dg.ResourceParam[Lake],
        settings: dg.ResourceParam[Settings],
    ) -> dg.MaterializeResult:
        as_of = datetime.fromisoformat(config.as_of) if config.as_of else known_until(lake, system)
        made = build_training_set(
            system, lake, as_of, dbt_manifest=settings.home / "dbt" / "target" / "manifest.json"
        )
        made.save(lake, {"dagster_run_id": context.run_id})
        return dg.MaterializeResult(
            metadata={
                **table_metadata(lake, f"{system.name}/training_set"),
                "rows": counts("span", made.manifest.rows),
                "positives": counts("span", made.manifest.positives),
                "manifest": dg.MetadataValue.json(_plain(made.manifest.to_json())),
            }
        )

    return built


def model(system: System) -> dg.AssetsDefinition:
    """`<system>/model`."""
    asset = asset_of(system)

    @asset(
        "model",
        kinds={"mlflow", "python"},
        tags=TRAINING,
        deps=[[system.name, "training_set"]],
        description="One registered version of the model per run: fitted, evaluated, alias `challenger`.",
    )
    def fitted(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        models: dg.ResourceParam[ModelRegistry],
        settings: dg.ResourceParam[Settings],
    ) -> dg.MaterializeResult:
        rows = TrainingSet.load(lake, system.name)
        pipeline = system.build().fit(rows)
        champion = models.load(system) if models.alias(system) else None
        report = system.evaluate(pipeline, rows, champion)
        version = models.register(
            system, pipeline, rows.manifest, report, table_version=rows.version, plots=plots(report),
            tags={"dagster_run_id": context.run_id},
        )  # fmt: skip
        models.promote(system, version, CHALLENGER)
        card = models.card(system, version)
        return dg.MaterializeResult(
            metadata={
                "version": version,
                "mlflow": settings.tracking.split("@")[-1],
                "folder": dg.MetadataValue.path(str(models.folder(system, version))),
                "parameters": dg.MetadataValue.json(card.training_configuration),
                "importance": _image(plots(report)["importance.png"]),
                **_metrics(report),
            }
        )

    return fitted


def evaluation(system: System) -> dg.AssetsDefinition:
    """`<system>/evaluation` and its blocking check `gate`."""
    asset = asset_of(system)

    @asset(
        "evaluation",
        kinds={"mlflow"},
        deps=[[system.name, "model"]],
        check_specs=[
            _check(
                system,
                "evaluation",
                "gate",
                "The challenger beats baselines and champion.",
                blocking=True,
            )
        ],
        description="One report per model version: metrics with intervals against baselines and champion, by slice.",
    )
    def reported(models: dg.ResourceParam[ModelRegistry]) -> dg.MaterializeResult:
        report = models.report(system, CHALLENGER)
        verdict = system.gate.check(report)
        return dg.MaterializeResult(
            metadata={
                "version": models.alias(system, CHALLENGER),
                "report": dg.MetadataValue.md(report.markdown()),
                **{
                    name.removesuffix(".png"): _image(image)
                    for name, image in plots(report).items()
                },
                **_metrics(report),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="gate",
                    passed=verdict.passed,
                    description="; ".join(verdict.reasons or verdict.held),
                    metadata={"held": list(verdict.held), "not_held": list(verdict.reasons)},
                )
            ],
        )

    return reported


def bento(system: System) -> dg.AssetsDefinition:
    """`<system>/bento`."""
    asset = asset_of(system)

    @asset(
        "bento",
        kinds={"bentoml"},
        deps=[[system.name, "evaluation"], [system.name, "features"]],
        description="One deployment per champion: built, tested in a fresh process, then served. Fails closed.",
    )
    def deployed(
        context: dg.AssetExecutionContext,
        models: dg.ResourceParam[ModelRegistry],
        settings: dg.ResourceParam[Settings],
    ) -> dg.MaterializeResult:
        verdict = system.gate.check(models.report(system, CHALLENGER))
        if not verdict.passed:
            # A run of this asset alone does not see the check that blocks it elsewhere.
            raise dg.Failure(f"the gate is closed: {'; '.join(verdict.reasons)}")
        version = str(models.alias(system, CHALLENGER))
        deployment = deploy(system, version, settings, run_id=context.run_id)
        models.promote(system, version)
        return dg.MaterializeResult(
            metadata={
                "version": version,
                "bento": deployment.bento,
                "golden_requests": len(deployment.golden),
                "deployed_at": dg.MetadataValue.timestamp(deployment.deployed_at),
            }
        )

    return deployed


def predictions(system: System, tables: Sequence[str]) -> dg.AssetsDefinition:
    """`<system>/predictions`."""
    asset = asset_of(system)

    @asset(
        "predictions",
        kinds={"deltalake", "polars"},
        tags=SCORING,
        deps=[[system.name, "bento"], *_keys(tables)],
        partitions_def=DAILY,
        backfill_policy=ONE_RUN,
        description="One row per request of the day, scored by the champion with features as known at the request.",
    )
    def scored(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        models: dg.ResourceParam[ModelRegistry],
    ) -> dg.MaterializeResult:
        predictor = Predictor(system, models.load(system), lake=lake)
        table, rows, decisions = f"{system.name}/predictions", {}, {}
        # A commit per day: memory stays that of a day, and a run that dies keeps the days before.
        for day in map(date.fromisoformat, context.partition_keys):
            frame = predictor.predict_batch(system.requests(lake, day), day)
            window = Window(PARTITION, day, day + timedelta(days=1))
            lake.write(table, frame, window=window, metadata={"dagster_run_id": context.run_id})
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


def last_day(lake: Lake, table: str) -> date:
    """The day after the newest partition of a feature table, from the Delta log alone."""
    if not lake.exists(table):
        raise dg.Failure(f"{table} has not been built")
    actions = pa.table(lake.table(table).get_add_actions(flatten=True))
    days = [str(day) for day in actions["partition.feature_date"].to_pylist()]
    return date.fromisoformat(max(days, default="1970-01-01")) + timedelta(days=1)


def known_until(lake: Lake, system: System) -> datetime:
    """Midnight after the last day for which every feature set of the system is built."""
    days = [last_day(lake, feature_set.table) for feature_set in system.feature_sets]
    return datetime.combine(min(days), time(), UTC)


def _keys(tables: Sequence[str]) -> list[dg.AssetKey]:
    return [dg.AssetKey(table.split("/")) for table in tables]


def _check(
    system: System, stage: str, name: str, description: str, *, blocking: bool = False
) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        name, asset=[system.name, stage], description=description, blocking=blocking
    )


def _metrics(report: Report) -> dict[str, float]:
    return {
        name: round(estimate.value, 6)
        for name, estimate in report.metrics[CANDIDATE].items()
        if estimate.value == estimate.value
    }


def _image(png: bytes) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md(f"![](data:image/png;base64,{base64.b64encode(png).decode()})")


def _plain(text: str) -> Any:
    import json

    return json.loads(text)
