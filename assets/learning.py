"""From feature tables to a model that may serve: training set, model, evaluation and its gate."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg

from agora.dataset import TrainingSet, build_training_set, known_until
from agora.gate import GateResult
from agora.pipeline import Pipeline, PipelineError
from agora.plots import plots
from agora.settings import Settings
from agora.stores.cards import ModelCard
from agora.stores.lake import Lake
from agora.stores.models import ModelRegistry
from agora.system import System
from agora.warm_start import train
from assets.decisions import decide
from assets.profile import counts, table_metadata
from assets.stage import asset_of, check_spec, image, keys_of, metrics_of
from resources.compute import TRAINING

CHALLENGER = "challenger"


class TrainingSetConfig(dg.Config):
    """What a training set may use."""

    as_of: str = ""
    """Only what arrived before this time (ISO 8601) is used; empty: the end of the last day."""


def training_set(system: System, tables: Sequence[str]) -> dg.AssetsDefinition:
    """`<system>/training_set`."""
    asset = asset_of(system)

    @asset(
        "training_set",
        kinds={"deltalake", "polars"},
        tags=TRAINING,
        deps=keys_of(tables),
        description="One row per labelled event with its features as known then, split by time.",
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
        made.save(lake, {"dagster_run_id": context.run.run_id})
        return dg.MaterializeResult(
            metadata={
                **table_metadata(lake, f"{system.name}/training_set"),
                "rows": counts("span", made.manifest.rows),
                "positives": counts("span", made.manifest.positives),
                **({"items": made.manifest.items} if system.items else {}),
                "manifest": dg.MetadataValue.json(json.loads(made.manifest.to_json())),
            }
        )

    return built


class ModelConfig(dg.Config):
    """How a model is trained."""

    warm: bool = False
    """Go on from the champion, where the system can; else begin anew. The daily schedule asks for
    it on six days of seven; whatever else starts a training gets a full one."""


def model(system: System) -> dg.AssetsDefinition:
    """`<system>/model`."""
    asset = asset_of(system)

    @asset(
        "model",
        kinds={"mlflow", "python"},
        tags=TRAINING,
        deps=[[system.name, "training_set"]],
        description="One registered model version per run: fitted, evaluated, alias `challenger`.",
    )
    def fitted(
        context: dg.AssetExecutionContext,
        config: ModelConfig,
        lake: dg.ResourceParam[Lake],
        models: dg.ResourceParam[ModelRegistry],
        settings: dg.ResourceParam[Settings],
    ) -> dg.MaterializeResult:
        rows = TrainingSet.load(lake, system.name)
        pipeline, origin = train(system, rows, models, warm=config.warm)
        champion, incomparable = champion_of(system, models)
        report = system.evaluate(pipeline, rows, champion)
        images, tags = plots(report), {"dagster_run_id": context.run.run_id}
        version = models.register(
            system, pipeline, rows.manifest, report,
            table_version=rows.version, plots=images, tags=tags, origin=origin,
        )  # fmt: skip
        models.promote(system, version, CHALLENGER)
        described = model_metadata(models.card(system, version), models.folder(system, version))
        return dg.MaterializeResult(
            metadata={
                **described,
                "mlflow": settings.tracking.split("@")[-1],
                "importance": image(images["importance.png"]),
                **({"champion_not_compared": incomparable} if incomparable else {}),
                **metrics_of(report),
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
            check_spec(
                system,
                "evaluation",
                "gate",
                "The challenger beats baselines and champion.",
                blocking=True,
            )
        ],
        description="One report per model version, with intervals: baselines, champion, slices.",
    )
    def reported(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        models: dg.ResourceParam[ModelRegistry],
    ) -> dg.MaterializeResult:
        version = str(models.alias(system, CHALLENGER))
        report = models.report(system, version)
        verdict = system.gate.check(report)
        if not verdict.passed:
            decide(
                context.run, lake, models, system, version, "refused",
                by="gate", report=report, reasons=verdict.reasons,
            )  # fmt: skip
        return dg.MaterializeResult(
            metadata={
                "version": version,
                "report": dg.MetadataValue.md(report.markdown()),
                **{name.removesuffix(".png"): image(png) for name, png in plots(report).items()},
                **metrics_of(report),
            },
            check_results=[gate_result(verdict)],
        )

    return reported


def model_metadata(card: ModelCard, folder: Path) -> dict[str, Any]:
    """What the UI shows of a registered version, from its card."""
    return {
        "version": card.version,
        "trained": card.origin["trained"],
        "folder": dg.MetadataValue.path(str(folder)),
        "parameters": dg.MetadataValue.json(card.training_configuration),
    }


def gate_result(verdict: GateResult) -> dg.AssetCheckResult:
    """The check `gate`, from what the gate says of a report."""
    return dg.AssetCheckResult(
        check_name="gate",
        passed=verdict.passed,
        description="; ".join(verdict.reasons or verdict.held),
        metadata={"held": list(verdict.held), "not_held": list(verdict.reasons)},
    )


def champion_of(system: System, models: ModelRegistry) -> tuple[Pipeline | None, str]:
    """The champion to compare with, or why there is none to compare with.

    A champion of other feature sets cannot score today's rows; its successor is held to the
    baselines alone, and says so.
    """
    if models.alias(system) is None:
        return None, ""
    try:
        return models.load(system), ""
    except PipelineError as error:
        return None, str(error)
