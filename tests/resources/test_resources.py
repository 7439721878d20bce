import os
from pathlib import Path

import dagster as dg
import pytest
from dagster_k8s.job import get_user_defined_k8s_config

from agora.settings import Settings
from resources import compute, resources_for
from resources.dbt import dbt_cli, invoke
from resources.instance import instance

SIZES = {
    "light": compute.LIGHT, "ingest": compute.INGEST, "warehouse": compute.WAREHOUSE,
    "training": compute.TRAINING, "scoring": compute.SCORING,
}  # fmt: skip


@pytest.mark.parametrize("environment", ["local", "test", "production"])
def test_every_environment_has_the_same_resources(environment: str, tmp_path: Path) -> None:
    found = resources_for(Settings(home=tmp_path, environment=environment))
    assert sorted(found) == ["dbt", "lake", "models", "online", "settings"]


@pytest.mark.parametrize("size", SIZES)
def test_tags_of_heavy_steps_reach_the_kubernetes_job(size: str) -> None:
    @dg.op(tags=SIZES[size])
    def sized() -> None: ...

    # Read as the executor reads them: a misspelt key would be accepted until then.
    config = get_user_defined_k8s_config(sized.tags)
    resources = config.container_config["resources"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    assert resources["requests"]["cpu"]
    assert config.job_spec_config["active_deadline_seconds"] >= 3600


def test_steps_run_in_one_process_except_in_production(tmp_path: Path) -> None:
    local = compute.executor_for(Settings(home=tmp_path))
    production = compute.executor_for(Settings(home=tmp_path, environment="production"))
    assert local.name == "in_process"
    assert production.name == "k8s"


def test_an_instance_keeps_its_own_yaml_and_sends_no_telemetry(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with instance(settings) as opened:
        assert not opened.telemetry_enabled
    file = settings.dagster_home / "dagster.yaml"
    file.write_text("telemetry: {enabled: false}\n")
    with instance(settings):
        assert file.read_text() == "telemetry: {enabled: false}\n"


DAYS = dg.DailyPartitionsDefinition("2026-01-01", "2026-02-01")


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def daily(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    for key in context.partition_keys:
        context.add_asset_metadata({"rows": int(key[-2:])}, "daily", partition_key=key)
    return dg.MaterializeResult(metadata={"same": "for all"})


def test_a_batch_of_events_reads_as_single_events_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for name, size in (("batched", "1000"), ("single", "0")):
        with instance(Settings(home=tmp_path / name)) as opened:
            monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", size)
            tags = {
                "dagster/asset_partition_range_start": "2026-01-01",
                "dagster/asset_partition_range_end": "2026-01-05",
            }
            result = dg.materialize([daily], instance=opened, tags=tags)
            records = opened.fetch_materializations(dg.AssetKey("daily"), limit=10).records
            latest = opened.get_latest_materialization_event(dg.AssetKey("daily"))
            found.append(
                (
                    [
                        (r.partition_key, r.asset_materialization.metadata["rows"].value)
                        for r in records
                    ],
                    opened.get_materialized_partitions(dg.AssetKey("daily")),
                    latest.asset_materialization.partition,
                    len(opened.all_logs(result.run_id)),
                    opened.get_run_by_id(result.run_id).status,
                )
            )
    assert found[0] == found[1]


def test_a_dbt_that_cannot_start_says_why(tmp_path: Path) -> None:
    from dagster_dbt import DagsterDbtTranslator
    from dagster_dbt.errors import DagsterDbtCliRuntimeError

    before = dict(os.environ)
    here = Settings(home=tmp_path, environment="test")
    with pytest.raises(DagsterDbtCliRuntimeError, match="no_such_command"):
        list(invoke(dbt_cli(), here, ["no_such_command"], {}, DagsterDbtTranslator()))
    assert dict(os.environ) == before


def test_dbt_is_dagster_dbts_resource_without_a_second_database() -> None:
    from dagster_dbt import DbtCliResource

    resource = resources_for(Settings())["dbt"].resource_fn(dg.build_init_resource_context())
    assert isinstance(resource, DbtCliResource)
    # The names that are replaced: a release that renames them brings their cost back.
    assert {"_cli_version", "_initialize_dbt_core_adapter"} <= set(dir(DbtCliResource))
    assert resource._cli_version.major == 1
    assert resource._initialize_dbt_core_adapter(["build"]) is None
