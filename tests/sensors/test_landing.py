from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest

from agora.settings import Settings
from assets.raw import LANDING
from sensors.landing import changes, landing_sensor, stretches


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, environment="test")


def land(settings: Settings, table: str, day: str, text: str = "{}") -> None:
    folder = Path(settings.landing) / table / f"dt={day}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "part.jsonl").write_text(text)


def tick(
    settings: Settings, instance: dg.DagsterInstance, cursor: str | None = None
) -> dg.SensorResult | dg.SkipReason:
    return landing_sensor(settings)(dg.build_sensor_context(instance=instance, cursor=cursor))


def asked(result: dg.SensorResult) -> list[tuple[list[str], str, str]]:
    return [
        (
            [key.path[1] for key in request.asset_selection if key.path[0] == "raw"],
            request.tags["dagster/asset_partition_range_start"],
            request.tags["dagster/asset_partition_range_end"],
        )
        for request in result.run_requests
    ]


def test_an_empty_landing_starts_nothing(settings: Settings) -> None:
    assert isinstance(tick(settings, dg.DagsterInstance.ephemeral()), dg.SkipReason)


def test_days_in_a_row_of_the_same_tables_are_one_run(settings: Settings) -> None:
    for day in ("2026-03-01", "2026-03-02", "2026-03-03", "2026-03-05"):
        land(settings, "payments", day)
        land(settings, "orders", day)
    land(settings, "cards", "2026-03-03")
    assert asked(tick(settings, dg.DagsterInstance.ephemeral())) == [
        (["orders", "payments"], "2026-03-01", "2026-03-02"),
        (["cards", "orders", "payments"], "2026-03-03", "2026-03-03"),
        (["orders", "payments"], "2026-03-05", "2026-03-05"),
    ]


def test_a_file_starts_one_run_even_when_the_cursor_is_lost(settings: Settings) -> None:
    land(settings, "payments", "2026-03-01")
    instance = dg.DagsterInstance.ephemeral()
    first, again = tick(settings, instance), tick(settings, instance)
    assert first.run_requests[0].run_key == again.run_requests[0].run_key
    assert isinstance(tick(settings, instance, first.cursor), dg.SkipReason)


def test_a_changed_file_starts_another_run(settings: Settings) -> None:
    land(settings, "payments", "2026-03-01")
    instance = dg.DagsterInstance.ephemeral()
    first = tick(settings, instance)
    land(settings, "payments", "2026-03-01", '{"payment_id": "repaired"}')
    second = tick(settings, instance, first.cursor)
    assert asked(second) == [(["payments"], "2026-03-01", "2026-03-01")]
    assert second.run_requests[0].run_key != first.run_requests[0].run_key


def test_what_another_run_took_is_not_taken_again(settings: Settings) -> None:
    land(settings, "payments", "2026-03-01")
    instance = dg.DagsterInstance.ephemeral()
    signature = json.loads(tick(settings, instance).cursor)["payments"]["2026-03-01"]
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            ["raw", "payments"], metadata={LANDING: signature}, partition="2026-03-01"
        )
    )
    assert tick(settings, instance).run_requests == []


def test_folders_without_a_contract_or_a_day_wait(settings: Settings) -> None:
    land(settings, "strangers", "2026-03-01")
    land(settings, "payments", "2999-01-01")
    land(settings, "payments", "1999-01-01")
    assert isinstance(tick(settings, dg.DagsterInstance.ephemeral()), dg.SkipReason)


def test_stretches_end_where_a_day_is_missing() -> None:
    days = {day: {"payments": "x"} for day in ("2026-02-28", "2026-03-01", "2026-03-03")}
    assert stretches(days) == [["2026-02-28", "2026-03-01"], ["2026-03-03"]]


def test_only_days_that_differ_are_changes() -> None:
    landed = {"payments": {"a": "1", "b": "2"}, "orders": {"a": "1"}}
    assert changes(landed, {"payments": {"a": "1"}, "orders": {"a": "1"}}) == {
        "payments": {"b": "2"}
    }
