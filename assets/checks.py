"""Checks that read the prediction log: the skew gate and the latency budgets."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from agora.audit.latency import over_budget, stage_latencies
from agora.audit.parity import alike, parity
from agora.audit.replay import loader
from agora.registry import SYSTEMS
from agora.settings import Settings
from agora.stores.lake import Lake
from agora.stores.models import ModelRegistry
from agora.system import System
from assets.decisions import decide
from assets.learning import CHALLENGER

JUDGED = timedelta(days=1)
"""Answers of this long are held against the budgets."""


def checks_of_systems() -> list[dg.AssetChecksDefinition]:
    """The checks of every system's log."""
    return [make(system) for system in SYSTEMS.values() for make in (parity_check, budgets_check)]


def parity_check(system: System) -> dg.AssetChecksDefinition:
    """The blocking check `parity` of `<system>/evaluation`: without it no bento is built."""

    @dg.asset_check(
        name="parity",
        asset=[system.name, "evaluation"],
        blocking=True,
        description="Logged requests give equal features and scores through the offline path.",
    )
    def compared(
        context: dg.AssetCheckExecutionContext,
        lake: dg.ResourceParam[Lake],
        models: dg.ResourceParam[ModelRegistry],
        settings: dg.ResourceParam[Settings],
    ) -> dg.AssetCheckResult:
        served = parity(system, lake, loader(models, system, settings))
        challenger = alike(system, lake, models.load(system, CHALLENGER))
        passed = served.passed and challenger.passed
        said = str(challenger if served.passed else served)
        if not passed:
            decide(
                context.run, lake, models, system, str(models.alias(system, CHALLENGER)), "refused",
                by="check:parity", reasons=[said],
            )  # fmt: skip
        return dg.AssetCheckResult(
            passed=passed,
            description=said,
            metadata={
                "predictions": served.rows,
                "scored": served.scored,
                "mismatches": len(served.mismatches) + len(challenger.mismatches),
            },
        )

    return compared


def budgets_check(system: System) -> dg.AssetChecksDefinition:
    """The check `budgets` of `<system>/prediction_log`: each stage keeps to its milliseconds."""

    @dg.asset_check(
        name="budgets",
        asset=[system.name, "prediction_log"],
        description="The 99th percentile of every stage, tier and answer lies within budgets.yml.",
    )
    def kept(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        since = datetime.now(UTC) - JUDGED
        over = over_budget(system, lake, since)
        found = (
            stage_latencies(lake, system.name, since).to_dicts()
            if lake.exists(f"predictions/{system.name}")
            else []
        )
        return dg.AssetCheckResult(
            passed=not over,
            description="; ".join(map(str, over)),
            metadata={f"{each['stage']}, p99 ms": round(each["p99"], 3) for each in found},
        )

    return kept
