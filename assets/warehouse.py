"""The warehouse: all dbt models in one step, so that one dbt process builds whatever a run selects.

A run with days builds daily and whole tables, a run without days builds whole tables only.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from agora.settings import Settings
from agora.stores.lake import Lake
from assets.manifest import Manifest
from assets.partitions import ONE_RUN, days_of, has_days
from assets.profile import table_metadata
from resources.compute import WAREHOUSE
from resources.dbt import invoke


def warehouse_assets(manifest: Manifest) -> dg.AssetsDefinition:
    """Every dbt model, with its tests as checks."""

    @dg.multi_asset(
        name="warehouse",
        specs=manifest.specs(),
        check_specs=manifest.check_specs(),
        can_subset=True,
        backfill_policy=ONE_RUN,
        op_tags=WAREHOUSE,
    )
    def warehouse(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        lake: dg.ResourceParam[Lake],
        dbt: dg.ResourceParam[Any],
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        # Imported here: dagster-dbt costs CPU seconds that definitions do not have.
        from assets.translator import Translator

        days = days_of(context) if has_days(context) else None
        command = _command(context, manifest)
        for event, line in invoke(dbt, settings, command, manifest.content, Translator(), days):
            if isinstance(event, dg.AssetMaterialization):
                yield _table(lake, manifest, event, line)
            elif isinstance(event, dg.AssetCheckEvaluation) and (
                event.asset_check_key in context.selected_asset_check_keys
            ):
                yield _check(event, line)

    return warehouse


def _command(context: dg.AssetExecutionContext, manifest: Manifest) -> list[str]:
    """The dbt command for what the run selects."""
    nodes = manifest.content["nodes"]
    wanted = [name for name, key in manifest.keys.items() if key in context.selected_asset_keys]
    if len(wanted) == len(manifest.keys):
        return ["build"]
    if wanted:
        return ["build", "--select", " ".join(nodes[name]["name"] for name in wanted)]
    checks = context.selected_asset_check_keys
    tests = [nodes[name]["name"] for name, key in manifest.check_keys.items() if key in checks]
    return ["test", "--select", " ".join(tests)]


def _table(
    lake: Lake, manifest: Manifest, event: dg.AssetMaterialization, line: str
) -> dg.MaterializeResult:
    name = "/".join(event.asset_key.path)
    is_view = manifest.is_view(str(event.metadata["unique_id"].value))
    return dg.MaterializeResult(
        asset_key=event.asset_key,
        metadata={
            **event.metadata,
            **({} if is_view else table_metadata(lake, name)),
            "dagster/column_lineage": _lineage(manifest.lineage.get(name, {})),
            "dbt": line,
        },
    )


def _lineage(columns: dict[str, list[list[str]]]) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        {
            column: [
                dg.TableColumnDep(dg.AssetKey(asset.split("/")), name) for asset, name in origins
            ]
            for column, origins in columns.items()
        }
    )


def _check(event: dg.AssetCheckEvaluation, line: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=event.asset_key,
        check_name=event.check_name,
        passed=event.passed,
        severity=event.severity,
        description=None if event.passed else line,
        metadata=event.metadata,
    )
