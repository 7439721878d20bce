from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from agora.simulator.simulation import build
from tests.simulator.marketplaces import DRIFT_DAY, FULL, first_versions


@pytest.mark.parametrize("share", [0.001, 0.005, 0.01])
def test_the_fraud_share_is_met(share: float):
    _, truth = build(replace(FULL, fraud_share=share, sessions_per_day=0))
    assert truth.height == FULL.payments
    assert truth["is_fraud"].mean() == pytest.approx(share, rel=0.1)
    assert truth["is_fraud"].equals(truth["scheme"] != "honest")
    counts = truth.filter("is_fraud").group_by("scheme").len()
    expected = dict(zip(("unusual_amount", "compromised_merchant"), FULL.mix.shares, strict=False))
    for scheme, count in counts.iter_rows():
        if scheme in expected:
            assert count / truth["is_fraud"].sum() == pytest.approx(expected[scheme], abs=0.02)


def test_chargebacks_and_verdicts_come_after_their_payments_and_take_their_time(full):
    tables, truth = full
    payments = first_versions(tables["payments"]).select("payment_id", paid_at="arrived_at")
    delays = {}
    for name in ("chargebacks", "verdicts"):
        rows = tables[name].join(payments, on="payment_id")
        assert rows.height == tables[name].height
        assert (rows["event_at"] > rows["paid_at"]).all(), name
        delays[name] = (rows["arrived_at"] - rows["paid_at"]).median()
    assert timedelta(days=5) < delays["chargebacks"] < timedelta(days=9)
    assert timedelta(hours=1) < delays["verdicts"] < timedelta(hours=8)
    labelled = tables["chargebacks"].join(truth, on="payment_id")
    charged_back = labelled.filter("is_fraud").height / truth["is_fraud"].sum()
    assert charged_back == pytest.approx(FULL.chargeback_share, abs=0.05)
    assert set(labelled.filter("is_fraud")["reason"]) == {"fraud"}
    assert "dispute" in set(labelled.filter(~pl.col("is_fraud"))["reason"])


def test_analysts_look_where_fraud_is_likelier_and_are_mostly_right(full):
    tables, truth = full
    verdicts = tables["verdicts"].join(truth, on="payment_id", suffix="_true")
    first = verdicts.sort("arrived_at").unique("verdict_id", keep="first")
    assert first.height / truth.height == pytest.approx(FULL.review_share, rel=0.15)
    assert first["is_fraud_true"].mean() > 20 * FULL.fraud_share
    assert first["is_fraud_true"].mean() < 0.7
    right = (first["is_fraud"] == first["is_fraud_true"]).mean()
    assert right == pytest.approx(FULL.verdict_accuracy, abs=0.02)
    assert verdicts.height > first.height


def test_frauds_differ_from_honest_payments_but_not_by_one_sign(full):
    tables, truth = full
    home = tables["customers"].unique("customer_id", keep="first")
    born = tables["devices"].select("device_id", born_at="event_at")
    rows = (
        first_versions(tables["payments"])
        .join(truth.select("payment_id", "is_fraud", "scheme"), on="payment_id")
        .join(home, on="customer_id", suffix="_home")
        .join(born, on="device_id", how="left")
        .with_columns(
            foreign=pl.col("country") != pl.col("country_home"),
            fresh=(pl.col("event_at") - pl.col("born_at") < timedelta(days=1)).fill_null(False),
            high=pl.col("amount") > 3 * pl.col("amount").median().over("customer_id"),
        )
    )
    for sign in ("foreign", "fresh", "high"):
        flagged = rows.filter(sign)["is_fraud"].mean()
        assert 3 * FULL.fraud_share < flagged < 0.5, sign
        assert 0.1 < rows.filter("is_fraud")[sign].mean() < 0.9, sign


def test_the_drift_changes_the_mix_only_after_its_date(drifted):
    tables, truth = drifted
    midnight = pl.lit(DRIFT_DAY).cast(pl.Datetime("us", "UTC"))
    assert truth["is_after_drift"].equals(
        truth.select((pl.col("event_at") >= midnight).alias("is_after_drift")).to_series()
    )
    frauds = truth.filter("is_fraud")
    before = frauds.filter(~pl.col("is_after_drift"))["scheme"]
    after = frauds.filter("is_after_drift")["scheme"]
    assert "card_testing" not in set(before)
    assert (after == "card_testing").mean() == pytest.approx(0.45, abs=0.02)
    assert before.len() / frauds.height == pytest.approx(0.6, abs=0.02)
    testing = tables["payments"].join(frauds.filter(scheme="card_testing"), on="payment_id")
    assert set(testing["channel"]) == {"web"}
    assert testing.group_by("device_id").agg(pl.col("card_id").n_unique())["card_id"].mean() > 5


def test_the_drift_raises_amounts_and_leaves_the_past_alone(full, drifted):
    def amounts(tables: dict[str, pl.DataFrame], truth: pl.DataFrame, *, late: bool) -> float:
        honest = truth.filter(~pl.col("is_fraud"))
        rows = first_versions(tables["payments"]).join(honest, on="payment_id")
        is_late = pl.col("event_at") >= pl.lit(DRIFT_DAY).cast(pl.Datetime("us", "UTC"))
        return rows.filter(is_late if late else ~is_late)["amount"].median()

    assert amounts(*drifted, late=False) == pytest.approx(amounts(*full, late=False), rel=0.03)
    assert amounts(*drifted, late=True) > 1.12 * amounts(*full, late=True)
