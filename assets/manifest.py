"""dbt's manifest as asset specs: each model an asset, each test a check.

By rules, never by lists of names: what an asset is called and whose it is stands in the project.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from agora.entities import FEATURE_SETS
from agora.settings import Settings
from agora.warehouse import PROJECT, run_dbt
from assets.partitions import DAILY

MODELS = {"view", "delta", "table"}


@dataclass(frozen=True)
class Manifest:
    """A parsed dbt project.

    Attributes:
        content: What is used of `manifest.json`.
        lineage: Asset -> column -> [[upstream asset, upstream column], ...].
    """

    content: dict[str, Any]
    lineage: dict[str, dict[str, list[list[str]]]]

    @classmethod
    def load(cls, settings: Settings) -> Manifest:
        """The project as it stands; compiled when one of its files changed, by one process."""
        folder = PROJECT / "target"
        folder.mkdir(exist_ok=True)
        prepared, stamp = folder / "definitions.json", _fingerprint()
        with (folder / "definitions.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = json.loads(prepared.read_text()) if prepared.exists() else {}
            if found.get("fingerprint") != stamp:
                found = {"fingerprint": stamp, **_compiled(settings)}
                fresh = prepared.with_suffix(".tmp")
                fresh.write_text(json.dumps(found))
                fresh.replace(prepared)
        return cls(found["content"], found["lineage"])

    @cached_property
    def models(self) -> dict[str, dict[str, Any]]:
        """Models that exist as tables or views, by dbt's unique id."""
        return {
            name: node
            for name, node in self.content["nodes"].items()
            if node["resource_type"] == "model" and node["config"]["materialized"] in MODELS
        }

    @cached_property
    def tests(self) -> dict[str, dict[str, Any]]:
        """Data tests of models by unique id; unit tests are about the SQL, not about data."""
        return {
            name: node
            for name, node in self.content["nodes"].items()
            if node["resource_type"] == "test" and self._tested(node)
        }

    @cached_property
    def check_keys(self) -> dict[str, dg.AssetCheckKey]:
        """The check of each test."""
        return {
            name: dg.AssetCheckKey(asset_key(self.models[self._tested(node)]), node["alias"])
            for name, node in self.tests.items()
        }

    def specs(self) -> list[dg.AssetSpec]:
        """One spec per model."""
        return [self._spec(node) for node in self.models.values()]

    def check_specs(self) -> list[dg.AssetCheckSpec]:
        """One spec per test; a test of severity error blocks what is built on the model."""
        return [
            dg.AssetCheckSpec(
                self.check_keys[name].name,
                asset=self.check_keys[name].asset_key,
                blocking=(node["config"].get("severity") or "error").lower() == "error",
                description=node.get("description") or None,
            )
            for name, node in self.tests.items()
        ]

    def upstream(self, node: dict[str, Any]) -> Iterator[dg.AssetKey]:
        """Assets that a model reads; what is only a subquery (ephemeral) is looked through."""
        for name in node["depends_on"]["nodes"]:
            if name in self.content["sources"]:
                source = self.content["sources"][name]
                yield dg.AssetKey([source["schema"], source["identifier"]])
            elif name in self.models:
                yield asset_key(self.models[name])
            elif name in self.content["nodes"]:
                yield from self.upstream(self.content["nodes"][name])

    def _spec(self, node: dict[str, Any]) -> dg.AssetSpec:
        config = node["config"]
        meta = (config.get("meta") or {}).get("dagster", {})
        is_view = config["materialized"] == "view"
        return dg.AssetSpec(
            asset_key(node),
            deps=sorted(set(self.upstream(node))),
            description=node["description"] or f"One table: {node['alias']}.",
            group_name=node["schema"],
            owners=_owners(node, meta),
            kinds={"dbt", "duckdb", "view" if is_view else "deltalake"},
            tags={"stage": node["schema"]},
            # A view holds no days; nor does an entity's table, which holds its newest version.
            partitions_def=DAILY if config.get("partition_by") else None,
            metadata={"dagster/column_schema": _schema(node), "sql": _sql(node)},
        )

    def _tested(self, node: dict[str, Any]) -> str:
        """Unique id of the model that carries a test."""
        candidates = [node.get("attached_node") or "", *reversed(node["depends_on"]["nodes"])]
        return next((name for name in candidates if name in self.models), "")


def asset_key(node: dict[str, Any]) -> dg.AssetKey:
    """`<layer>/<model>`."""
    return dg.AssetKey([node["schema"], node["alias"]])


def _owners(node: dict[str, Any], meta: dict[str, Any]) -> list[str]:
    feature_set = FEATURE_SETS.get(str(node["alias"]).removeprefix("ftr_"))
    return [feature_set.owner] if feature_set else list(meta.get("owners", []))


def _schema(node: dict[str, Any]) -> dg.TableSchema:
    return dg.TableSchema(
        [
            dg.TableColumn(name, column.get("data_type") or "?", column.get("description") or None)
            for name, column in node["columns"].items()
        ]
    )


def _sql(node: dict[str, Any]) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md(f"```sql\n{node['raw_code']}\n```")


KEPT = (
    "unique_id", "resource_type", "name", "alias", "schema", "config", "depends_on", "description",
    "columns", "raw_code", "attached_node", "identifier",
)  # fmt: skip


def _compiled(settings: Settings) -> dict[str, Any]:
    """Compile the models and keep what assets need; lineage is read here once, not in every run."""
    from assets.lineage import column_lineage

    run_dbt(
        settings, ["compile", "--select", "resource_type:model", "--indirect-selection", "empty"]
    )
    found = json.loads((settings.home / "dbt" / "target" / "manifest.json").read_text())
    models = {
        name: node for name, node in found["nodes"].items() if node["resource_type"] == "model"
    }
    content = {
        part: {
            name: {field: node[field] for field in KEPT if field in node}
            for name, node in found[part].items()
        }
        for part in ("nodes", "sources")
    }
    return {"content": content, "lineage": column_lineage(models)}


def _fingerprint() -> str:
    """Of the project's files and of the contracts that it documents."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(PROJECT.rglob("*")):
        if path.suffix in {".sql", ".yml"} and "target" not in path.relative_to(PROJECT).parts:
            digest.update(f"{path.relative_to(PROJECT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()
