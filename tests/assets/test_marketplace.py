"""One real run over a tiny marketplace, and what must hold after it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl
import pytest

from agora.entities import FEATURE_SETS
from agora.stores.valkey import open_online
from sensors.landing import landing_sensor
from sensors.schedules import changed_days, daily_schedule
from tests.assets.marketplace import DAYS, LAST, START

if TYPE_CHECKING:
    from tests.assets.marketplace import Marketplace

pytestmark = pytest.mark.xdist_group("dagster")
LAST_KEY = str(LAST)
# Steps are ordered by the edges between what is selected: the view in the middle belongs to it.
PAYMENTS = 'key:"raw/payments" or key:"staging/stg_marketplace__payments" or key:"marts/payments"'


def tick(marketplace: Marketplace, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(instance=marketplace.instance, cursor=cursor)
    return landing_sensor(marketplace.settings)(context)


def content(marketplace: Marketplace, table: str) -> pl.DataFrame:
    frame = marketplace.lake.read(table)
    return frame.sort(frame.columns)


def test_every_day_of_every_table_is_materialized(marketplace: Marketplace) -> None:
    for key in (["raw", "payments"], ["quarantine", "cards"], ["marts", "payments"]):
        assert len(marketplace.partitions(*key)) == DAYS
    assert len(marketplace.partitions("features", "ftr_cards__daily")) == DAYS
    assert marketplace.partitions("marts", "customers") == set()
    assert marketplace.newest("marts", "customers")["dagster/row_count"] == 200


def test_raw_tables_show_what_an_analyst_asks_for(marketplace: Marketplace) -> None:
    shown = marketplace.newest("raw", "payments")
    rows = marketplace.lake.read("raw/payments").height
    assert shown["dagster/row_count"] == shown["rows_taken"] == rows
    assert shown["delta_version"] == marketplace.lake.version("raw/payments")
    assert shown["consumers"] == "fraud"
    assert shown["update_frequency"] == "continuous, landed daily"
    assert shown["size_bytes"] > 0
    assert shown["missing_total"] > 0
    assert "| amount | number | 0 | 0.0% |" in shown["missing_and_variance"]
    assert [column.name for column in shown["dagster/column_schema"].columns][:2] == [
        "payment_id", "order_id",
    ]  # fmt: skip


def test_a_day_of_a_range_shows_its_own_rows(marketplace: Marketplace) -> None:
    shown = marketplace.newest("raw", "payments")
    day = marketplace.lake.read("raw/payments", where=f"arrival_date = '{LAST}'").height
    assert shown["dagster/partition_row_count"] == day


def test_models_show_where_each_column_comes_from(marketplace: Marketplace) -> None:
    lineage = marketplace.newest("marts", "payments")["dagster/column_lineage"]
    origin = lineage.deps_by_column["amount"]
    assert [(dep.asset_key.to_user_string(), dep.column_name) for dep in origin] == [
        ("staging/stg_marketplace__payments", "amount")
    ]
    features = marketplace.newest("features", "ftr_cards__daily")["dagster/column_lineage"]
    counted = features.deps_by_column["payment_count_30d"]
    assert "marts/payments" in {dep.asset_key.to_user_string() for dep in counted}


def test_checks_were_evaluated_and_hold(marketplace: Marketplace) -> None:
    for key, check in ((["raw", "payments"], "schema"), (["fraud", "features"], "fresh")):
        record = marketplace.instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey(key), check), limit=1
        )[0]
        evaluation = record.event.dagster_event.asset_check_evaluation_data
        assert evaluation.passed


def test_online_store_holds_the_newest_features(marketplace: Marketplace) -> None:
    feature_set = FEATURE_SETS["cards__daily"]
    newest = marketplace.lake.read(feature_set.table).sort("feature_at").row(-1, named=True)
    store = open_online(marketplace.settings)
    try:
        found = store.read([(feature_set, [newest["card_id"]])])[0]
    finally:
        store.close()
    column = feature_set.names.index("payment_count_30d")
    assert found.values[0, column] == newest["payment_count_30d"]


def test_a_repeated_day_changes_nothing(marketplace: Marketplace) -> None:
    tables = ("raw/payments", "marts/payments", "features/ftr_cards__daily")
    before = [content(marketplace, table) for table in tables]
    assert marketplace.run(f'{PAYMENTS} or key:"features/ftr_cards__daily"', LAST, LAST).success
    for table, frame in zip(tables, before, strict=True):
        assert content(marketplace, table).equals(frame), table


def test_nothing_new_starts_nothing(marketplace: Marketplace) -> None:
    result = tick(marketplace)
    assert result.run_requests == []
    again = tick(marketplace, result.cursor)
    assert isinstance(again, dg.SkipReason)


def test_a_bad_file_stops_the_day_and_its_repair_replays_it(marketplace: Marketplace) -> None:
    folder = marketplace.landed("payments", LAST)
    bad = folder / "bad.jsonl"
    marts = content(marketplace, "marts/payments")
    cursor = tick(marketplace).cursor
    row = {"payment_id": "p-bad", "amount": -1, "event_at": f"{LAST}T10:00:00Z"}
    bad.write_text("\n".join(json.dumps(row | {"payment_id": f"p-{n}"}) for n in range(40)))

    noticed = tick(marketplace, cursor)
    (request,) = noticed.run_requests
    assert {key.to_user_string() for key in request.asset_selection} == {
        "raw/payments", "quarantine/payments",
    }  # fmt: skip
    assert request.tags["dagster/asset_partition_range_start"] == LAST_KEY
    assert request.tags["dagster/asset_partition_range_end"] == LAST_KEY

    failed = marketplace.run(PAYMENTS, LAST, LAST)
    assert not failed.success
    assert failed.get_asset_check_evaluations()[0].check_name == "schema"
    assert not failed.get_asset_check_evaluations()[0].passed
    assert content(marketplace, "marts/payments").equals(marts)
    refused = marketplace.lake.read("quarantine/payments", where=f"arrival_date = '{LAST}'")
    assert refused["source_file"].str.ends_with("bad.jsonl").any()

    bad.unlink()
    (replay,) = tick(marketplace, noticed.cursor).run_requests
    assert replay.run_key != request.run_key
    assert changed_days(marketplace.instance) == [LAST_KEY]
    assert marketplace.run(PAYMENTS, LAST, LAST).success
    assert content(marketplace, "marts/payments").equals(marts)
    assert changed_days(marketplace.instance) == []


def test_the_schedule_runs_yesterday_and_what_changed(marketplace: Marketplace) -> None:
    at = START + timedelta(days=DAYS)
    schedule = daily_schedule(marketplace.settings)
    context = dg.build_schedule_context(
        instance=marketplace.instance,
        scheduled_execution_time=pl.datetime_range(at, at, eager=True)[0],
    )
    (request,) = schedule.evaluate_tick(context).run_requests
    assert request.tags["dagster/asset_partition_range_start"] == LAST_KEY
    assert request.tags["dagster/asset_partition_range_end"] == LAST_KEY
    assert marketplace.run('key:"raw/orders"', START, START).success
    (request,) = schedule.evaluate_tick(context).run_requests
    assert request.tags["dagster/asset_partition_range_start"] == str(START)
