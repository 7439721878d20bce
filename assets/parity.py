"""The skew gate as an asset check: what was served must be what the offline path gives."""

import dagster as dg

from agora.audit.parity import Parity, alike, parity
from agora.audit.replay import loader
from agora.settings import Settings
from agora.stores.lake import Lake
from agora.stores.models import ModelRegistry
from agora.system import System
from assets.learning import CHALLENGER


def parity_check(system: System) -> dg.AssetChecksDefinition:
    """The blocking check `parity` of `<system>/evaluation`: without it no bento is built."""

    @dg.asset_check(
        name="parity",
        asset=[system.name, "evaluation"],
        blocking=True,
        description="Logged requests give equal features and scores through the offline path.",
    )
    def compared(
        lake: dg.ResourceParam[Lake],
        models: dg.ResourceParam[ModelRegistry],
        settings: dg.ResourceParam[Settings],
    ) -> dg.AssetCheckResult:
        served, challenger = compare_with_offline(system, lake, models, settings)
        return dg.AssetCheckResult(
            passed=served.passed and challenger.passed,
            description=str(served if not served.passed else challenger),
            metadata={
                "predictions": served.rows,
                "scored": served.scored,
                "mismatches": len(served.mismatches) + len(challenger.mismatches),
            },
        )

    return compared


def compare_with_offline(
    system: System, lake: Lake, models: ModelRegistry, settings: Settings
) -> tuple[Parity, Parity]:
    """What was served against the offline path, and the challenger alone against in a batch."""
    load = loader(models, system, settings.adjustments)
    return parity(system, lake, load), alike(system, lake, models.load(system, CHALLENGER))
