"""The dbt project as assets and checks, translated when a file of it changed and kept until then.

So definitions load without dagster-dbt, whose import alone would cost more than all of ours.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dagster as dg

from agora.settings import Settings, settings
from agora.warehouse import PROJECT, run_dbt
from assets.partitions import DAILY

ROOT = PROJECT.parent


@dataclass(frozen=True)
class Manifest:
    """A translated dbt project; its parts are plain data, by dbt's unique id.

    Attributes:
        content: What dagster-dbt reads of `manifest.json` to translate the events of a run.
        assets: The spec of each model that is a table or a view.
        checks: The spec of each test of these.
        lineage: Asset -> column -> [[upstream asset, upstream column], ...].
    """

    content: dict[str, Any]
    assets: dict[str, dict[str, Any]]
    checks: dict[str, dict[str, Any]]
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
            if found.pop("fingerprint", None) != stamp:
                found = _compiled(settings)
                fresh = prepared.with_suffix(".tmp")
                fresh.write_text(json.dumps({"fingerprint": stamp, **found}))
                fresh.replace(prepared)
        return cls(**found)

    @cached_property
    def keys(self) -> dict[str, dg.AssetKey]:
        """The asset of each model."""
        return {name: dg.AssetKey(spec["key"]) for name, spec in self.assets.items()}

    @cached_property
    def check_keys(self) -> dict[str, dg.AssetCheckKey]:
        """The check of each test."""
        return {
            name: dg.AssetCheckKey(dg.AssetKey(spec["asset"]), spec["name"])
            for name, spec in self.checks.items()
        }

    def specs(self) -> list[dg.AssetSpec]:
        """One spec per model."""
        return [_spec(**spec) for spec in self.assets.values()]

    def check_specs(self) -> list[dg.AssetCheckSpec]:
        """One spec per test; a test of severity error blocks what is built on the model."""
        return [dg.AssetCheckSpec(**spec) for spec in self.checks.values()]

    def is_view(self, name: str) -> bool:
        """Whether a model holds no rows of its own."""
        return bool(self.content["nodes"][name]["config"]["materialized"] == "view")


def _spec(metadata: dict[str, str], is_daily: bool, **plain: Any) -> dg.AssetSpec:
    return dg.AssetSpec(
        **plain,
        metadata={name: dg.deserialize_value(value) for name, value in metadata.items()},
        partitions_def=DAILY if is_daily else None,
    )


PARTS = ("metadata", "nodes", "sources", "exposures", "metrics")
KEPT = (
    "unique_id", "resource_type", "name", "alias", "schema", "config", "depends_on", "description",
    "attached_node", "identifier",
)  # fmt: skip


def _compiled(settings: Settings) -> dict[str, Any]:
    """Compile and translate the models; lineage is read here once, not in every run."""
    from assets.lineage import column_lineage
    from assets.translator import translated

    run_dbt(
        settings, ["compile", "--select", "resource_type:model", "--indirect-selection", "empty"]
    )
    found = json.loads((settings.home / "dbt" / "target" / "manifest.json").read_text())
    models = {
        name: node for name, node in found["nodes"].items() if node["resource_type"] == "model"
    }
    content = {part: found[part] for part in PARTS}
    for part in ("nodes", "sources"):
        content[part] = {
            name: {field: node[field] for field in KEPT if field in node}
            for name, node in found[part].items()
        }
    return {"content": content, **translated(found), "lineage": column_lineage(models)}


def _fingerprint() -> str:
    """Of the project's files, of the contracts that it documents and of what translates it."""
    code = [
        *(ROOT / "assets" / f"{name}.py" for name in ("manifest", "translator", "lineage")),
        *(ROOT / "agora" / "entities").glob("*.py"),
        ROOT / "agora" / "tables.py",
    ]
    models = [
        path
        for path in PROJECT.rglob("*")
        if path.suffix in {".sql", ".yml"} and "target" not in path.relative_to(PROJECT).parts
    ]
    digest = hashlib.sha256()
    for path in sorted([*code, *models]):
        digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    # `make setup` does it once, so that the first command does not wait for it.
    Manifest.load(settings())
