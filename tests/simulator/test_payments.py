from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from tests.simulator.marketplaces import FULL, first_versions


def test_a_payment_pays_about_what_was_ordered(full):
    tables, _ = full
    rows = first_versions(tables["payments"]).join(tables["orders"], on="order_id", suffix="_order")
    ratio = rows["amount"] / rows["amount_order"]
    assert ratio.min() >= 0.999
    assert ratio.max() <= 1.3
    assert rows["customer_id"].equals(rows["customer_id_order"])
    assert rows["merchant_id"].equals(rows["merchant_id_order"])
    assert (rows["event_at"] >= rows["event_at_order"]).all()
    owners = rows.join(tables["products"].unique("product_id"), on="product_id", suffix="_product")
    assert owners["merchant_id"].equals(owners["merchant_id_product"])
    cards = rows.join(tables["cards"], on="card_id", suffix="_card")
    assert cards["customer_id"].equals(cards["customer_id_card"])


def test_terminals_have_a_place_and_no_device(full):
    payments = full[0]["payments"]
    terminals = payments.filter(channel="in_store")
    assert 0.2 < terminals.height / payments.height < 0.7
    assert terminals["device_id"].null_count() == terminals.height
    assert terminals["latitude"].null_count() == 0
    assert payments.filter(pl.col("channel") != "in_store")["device_id"].null_count() == 0


def test_some_payments_are_late_and_some_are_corrected(full):
    payments = full[0]["payments"]
    first = first_versions(payments)
    late = first.filter(pl.col("arrived_at") - pl.col("event_at") > timedelta(minutes=1))
    assert late.height / first.height == pytest.approx(FULL.late_share, rel=0.3)
    assert (late["arrived_at"].dt.date() > late["event_at"].dt.date()).any()
    corrected = payments.join(first, on="payment_id", suffix="_first")
    corrected = corrected.filter(pl.col("arrived_at") > pl.col("arrived_at_first"))
    assert corrected.height / first.height == pytest.approx(FULL.correction_share, rel=0.4)
    assert (corrected["amount"] != corrected["amount_first"]).all()
    assert corrected["event_at"].equals(corrected["event_at_first"])


def test_people_sleep_and_shop_on_saturdays(full):
    payments = full[0]["payments"]
    hours = payments.group_by(pl.col("event_at").dt.hour().alias("hour")).len().sort("hour")["len"]
    assert hours[0:5].mean() < hours[10:20].mean() / 4
    whole_weeks = payments.filter(pl.col("event_at").dt.date() < FULL.start + timedelta(weeks=7))
    days = whole_weeks.group_by(pl.col("event_at").dt.weekday().alias("day")).len().sort("day")
    assert days["len"][5] > 1.15 * days["len"][0]


def test_customers_keep_to_their_means_and_near_their_home(full):
    tables, truth = full
    honest = tables["payments"].join(truth.filter(~pl.col("is_fraud")), on="payment_id")
    logs = honest.with_columns(pl.col("amount").log())
    within = logs.group_by("customer_id").agg(pl.col("amount").std(), pl.len())
    spread = within.filter(pl.col("len") > 10)["amount"].median()
    assert spread < 0.8 * logs["amount"].std()
    home = tables["customers"].unique("customer_id", keep="first")
    rows = honest.join(home, on="customer_id", suffix="_home")
    assert (rows["country"] == rows["country_home"]).mean() > 0.9
    visits = honest.group_by("customer_id", "merchant_id").len()
    assert visits["len"].max() > 10


def test_some_devices_are_shared_in_a_household(full):
    tables, truth = full
    honest = tables["payments"].join(truth.filter(~pl.col("is_fraud")), on="payment_id")
    users = (
        honest.drop_nulls("device_id").group_by("device_id").agg(pl.col("customer_id").n_unique())
    )
    assert (users["customer_id"] > 1).sum() > 100
