"""What Dagster shows of the platform, as JSON: `python -m tests.definitions_snapshot` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import dagster as dg

SNAPSHOT = Path(__file__).with_suffix(".json")


def described(repository: dg.RepositoryDefinition) -> dict[str, Any]:
    """Keys, groups, owners, kinds, tags, dependencies and checks; jobs, schedules and sensors."""
    graph = repository.asset_graph
    return {
        "assets": {
            key.to_user_string(): _asset(graph, key) for key in sorted(graph.get_all_asset_keys())
        },
        "jobs": {
            job.name: sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys)
            for job in repository.get_all_jobs()
            if not job.name.startswith("__")
        },
        "schedules": {
            schedule.name: [schedule.cron_schedule, schedule.default_status.value]
            for schedule in repository.schedule_defs
        },
        "sensors": {sensor.name: sensor.default_status.value for sensor in repository.sensor_defs},
    }


def without(found: dict[str, Any], systems: set[str]) -> dict[str, Any]:
    """The description less some systems: those that a user has just scaffolded."""

    def kept(key: str) -> bool:
        return key.split("/")[0] not in systems

    return {
        **found,
        "assets": {key: asset for key, asset in found["assets"].items() if kept(key)},
        "jobs": {
            name: [key for key in keys if kept(key)]
            for name, keys in found["jobs"].items()
            if name.rpartition("_")[0] not in systems
        },
        **{
            kind: {
                name: shown
                for name, shown in found[kind].items()
                if name.rpartition("_")[0] not in systems
            }
            for kind in ("schedules", "sensors")
        },
    }


def _asset(graph: Any, key: Any) -> dict[str, Any]:
    node = graph.get(key)
    checks = {check.name: graph.get_check_spec(check).blocking for check in node.check_keys}
    return {
        "group": node.group_name,
        "owners": sorted(node.owners),
        "kinds": sorted(node.kinds),
        "stage": node.tags["stage"],
        "daily": node.partitions_def is not None,
        "reads": sorted(parent.to_user_string() for parent in node.parent_keys),
        "checks": dict(sorted(checks.items())),
    }


if __name__ == "__main__":
    from definitions import defs

    SNAPSHOT.write_text(json.dumps(described(defs().get_repository_def()), indent=1) + "\n")
