"""What the assets of every system share: key, group, owner, stage, and how a report is shown."""

import base64
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from agora.evaluation import CANDIDATE, Report
from agora.system import System
from resources.compute import LIGHT


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


def keys_of(tables: Sequence[str]) -> list[dg.AssetKey]:
    """Asset keys of lake tables."""
    return [dg.AssetKey(table.split("/")) for table in tables]


def check_spec(
    system: System, stage: str, name: str, description: str, *, blocking: bool = False
) -> dg.AssetCheckSpec:
    """A check of a system's asset."""
    return dg.AssetCheckSpec(
        name, asset=[system.name, stage], description=description, blocking=blocking
    )


def metrics_of(report: Report) -> dict[str, float]:
    """The candidate's metrics as numbers, so that the UI draws them over time."""
    return {
        name: round(estimate.value, 6)
        for name, estimate in report.metrics[CANDIDATE].items()
        if estimate.value == estimate.value
    }


def image(png: bytes) -> dg.MarkdownMetadataValue:
    """A plot inside the metadata."""
    return dg.MetadataValue.md(f"![](data:image/png;base64,{base64.b64encode(png).decode()})")
