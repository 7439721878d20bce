"""How dbt's nodes read as assets: `<layer>/<model>`, by rules, never by lists of names.

It imports dagster-dbt, which costs 3 CPU seconds: imported where the project is compiled and where
dbt runs, never while definitions load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, build_dbt_asset_specs

from agora.entities import FEATURE_SETS
from assets.partitions import DAILY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dagster_dbt import DbtProject

UNIQUE_ID = "dagster_dbt/unique_id"


class Translator(DagsterDbtTranslator):
    """Layers are groups and stages; what else an asset says stands in the dbt project."""

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetSpec:
        """The spec, and how its rows are kept."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        kept = self.get_resource_props(manifest, unique_id)["config"].get("materialized")
        return spec.merge_attributes(kinds={"view" if kept == "view" else "deltalake"})

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """`<layer>/<table>`, as the lake names it."""
        name = dbt_resource_props.get("alias") or dbt_resource_props["identifier"]
        return dg.AssetKey([dbt_resource_props["schema"], name])

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """What one row is; the SQL is metadata."""
        return dbt_resource_props["description"] or f"One table: {dbt_resource_props['name']}."

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """The layer."""
        return dbt_resource_props["schema"]

    def get_tags(self, dbt_resource_props: Mapping[str, Any]) -> dict[str, str]:
        """The layer as a stage."""
        return {"stage": dbt_resource_props["schema"]}

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> Sequence[str]:
        """A feature set's owner, else `meta.dagster.owners`."""
        feature_set = FEATURE_SETS.get(dbt_resource_props["name"].removeprefix("ftr_"))
        if feature_set:
            return [feature_set.owner]
        meta = dbt_resource_props["config"].get("meta") or {}
        return meta.get("dagster", {}).get("owners", [])

    def get_partitions_def(
        self, dbt_resource_props: Mapping[str, Any]
    ) -> dg.PartitionsDefinition | None:
        """Days; a view holds none, nor does an entity's table, which holds its newest version."""
        return DAILY if dbt_resource_props["config"].get("partition_by") else None

    def get_metadata(self, dbt_resource_props: Mapping[str, Any]) -> dict[str, Any]:
        """Columns and SQL, where the manifest still holds them: in a run it does not."""
        columns = [
            dg.TableColumn(name, column.get("data_type") or "?", column.get("description") or None)
            for name, column in dbt_resource_props.get("columns", {}).items()
        ]
        sql = dbt_resource_props.get("raw_code", "")
        return {
            "dagster/column_schema": dg.TableSchema(columns),
            "sql": dg.MetadataValue.md(f"```sql\n{sql}\n```"),
        }


def translated(manifest: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Assets and checks of a dbt manifest as plain data, by dbt's unique id."""
    translator = Translator()
    specs = {
        str(spec.metadata[UNIQUE_ID]): spec
        for spec in build_dbt_asset_specs(manifest=manifest, dagster_dbt_translator=translator)
    }
    checks = {
        name: _plain_check(check, node)
        for name, node in manifest["nodes"].items()
        if node["resource_type"] == "test"
        for parent in node["depends_on"]["nodes"]
        if parent in specs
        and (check := translator.get_asset_check_spec(specs[parent], manifest, name, None))
    }
    plain = {name: _plain(spec) for name, spec in specs.items()}
    return {"assets": plain, "checks": checks}


def _plain(spec: dg.AssetSpec) -> dict[str, Any]:
    return {
        "key": spec.key.path,
        "deps": sorted(dep.asset_key.path for dep in spec.deps),
        "description": spec.description,
        "group_name": spec.group_name,
        "owners": list(spec.owners),
        "tags": dict(spec.tags),
        "is_daily": spec.partitions_def is not None,
        "metadata": {
            name: dg.serialize_value(spec.metadata[name])
            for name in ("dagster/column_schema", "sql")
        },
    }


def _plain_check(spec: dg.AssetCheckSpec, node: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": spec.name,
        "asset": spec.asset_key.path,
        "blocking": spec.blocking,
        "description": node.get("description") or None,
    }
