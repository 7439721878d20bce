"""The warehouse: all dbt models in one step, so that one dbt process builds whatever a run selects.

A run with days builds daily and whole tables, a run without days builds whole tables only.
"""

from collections.abc import Iterator

import dagster as dg

from agora.stores.lake import Lake
from assets.manifest import Manifest, asset_key
from assets.partitions import ONE_RUN, days_of, has_days
from assets.profile import table_metadata
from resources.compute import WAREHOUSE
from resources.dbt import Dbt, NodeResult


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
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], dbt: dg.ResourceParam[Dbt]
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        start, end = days_of(context) if has_days(context) else (None, None)
        for result in dbt.run(*_command(context, manifest), start, end):
            if result.unique_id in manifest.models and result.good:
                yield _table(lake, manifest, result)
            elif manifest.check_keys.get(result.unique_id) in context.selected_asset_check_keys:
                yield _check(manifest, result)

    return warehouse


def _command(context: dg.AssetExecutionContext, manifest: Manifest) -> tuple[str, list[str]]:
    """The dbt command for what the run selects."""
    wanted = [
        name
        for name, node in manifest.models.items()
        if asset_key(node) in context.selected_asset_keys
    ]
    if len(wanted) == len(manifest.models):
        return "build", []
    if wanted:
        return "build", [manifest.models[name]["name"] for name in wanted]
    checks = context.selected_asset_check_keys
    return "test", [
        manifest.tests[name]["name"] for name, key in manifest.check_keys.items() if key in checks
    ]


def _table(lake: Lake, manifest: Manifest, result: NodeResult) -> dg.MaterializeResult:
    node = manifest.models[result.unique_id]
    key = asset_key(node)
    name = "/".join(key.path)
    is_view = node["config"]["materialized"] == "view"
    metadata = {} if is_view else table_metadata(lake, name)
    return dg.MaterializeResult(
        asset_key=key,
        metadata={
            **metadata,
            "dagster/column_lineage": _lineage(manifest.lineage.get(name, {})),
            "seconds": result.seconds,
            "dbt": result.message,
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


def _check(manifest: Manifest, result: NodeResult) -> dg.AssetCheckResult:
    key = manifest.check_keys[result.unique_id]
    is_warning = result.status == "warn"
    return dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=result.good,
        severity=dg.AssetCheckSeverity.WARN if is_warning else dg.AssetCheckSeverity.ERROR,
        description=None if result.good else result.message,
        metadata={"failing_rows": result.failures, "seconds": result.seconds},
    )
