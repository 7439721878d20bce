from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from agora.simulator import Mix, Params, simulate
from agora.simulator.simulation import build
from agora.tables import TABLES

if TYPE_CHECKING:
    from pathlib import Path

SMALL = Params(days=12, customers=300, merchants=60, payments_per_day=400, late_share=0.02)
FULL = Params(days=50, payments_per_day=2_000)
DRIFT_DAY = FULL.start + timedelta(days=30)
TRUTH_COLUMNS = {"scheme", "campaign", "is_after_drift"}


@pytest.fixture(scope="module")
def small() -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    return build(SMALL)


@pytest.fixture(scope="module")
def full() -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    return build(FULL)


@pytest.fixture(scope="module")
def drifted() -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    return build(replace(FULL, drift_at=DRIFT_DAY))


def first_versions(payments: pl.DataFrame) -> pl.DataFrame:
    return payments.sort("arrived_at").unique("payment_id", keep="first").sort("payment_id")


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path):
    for run in ("one", "two"):
        simulate(SMALL, tmp_path / run / "landing", tmp_path / run / "truth")
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*")]
    assert len([name for name in files if name.suffix == ".parquet"]) > SMALL.days
    for name in files:
        if (tmp_path / "one" / name).is_file():
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_another_seed_gives_another_marketplace(small):
    tables, _ = build(replace(SMALL, seed=8))
    for name, frame in tables.items():
        assert not frame.equals(small[0][name]), name


def test_outcomes_can_change_without_changing_payments(small):
    tables, truth = build(replace(SMALL, chargeback_share=0.1, review_share=0.3))
    assert tables["payments"].equals(small[0]["payments"])
    assert tables["orders"].equals(small[0]["orders"])
    assert truth.equals(small[1])
    assert not tables["verdicts"].equals(small[0]["verdicts"])


@pytest.mark.parametrize("share", [0.001, 0.005, 0.01])
def test_the_fraud_share_is_met(share: float):
    _, truth = build(replace(FULL, fraud_share=share))
    assert truth.height == FULL.payments
    assert truth["is_fraud"].mean() == pytest.approx(share, rel=0.1)
    assert truth["is_fraud"].equals(truth["scheme"] != "honest")
    counts = truth.filter("is_fraud").group_by("scheme").len()
    expected = dict(zip(("unusual_amount", "compromised_merchant"), FULL.mix.shares, strict=False))
    for scheme, count in counts.iter_rows():
        if scheme in expected:
            assert count / truth["is_fraud"].sum() == pytest.approx(expected[scheme], abs=0.02)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_holds_its_contract(full, name: str):
    table, frame = TABLES[name], full[0][name].select(TABLES[name].names)
    types = {
        "string": pl.String,
        "integer": pl.Int64,
        "number": pl.Float64,
        "boolean": pl.Boolean,
        "timestamp": pl.Datetime("us", "UTC"),
    }
    for column in table.all_columns:
        values = frame[column.name]
        assert values.dtype == types[column.kind], column.name
        assert column.nullable or values.null_count() == 0, column.name
        if column.minimum is not None:
            assert values.min() >= column.minimum, column.name
        if column.maximum is not None:
            assert values.max() <= column.maximum, column.name
        if column.allowed:
            assert set(values.unique()) <= set(column.allowed), column.name
        if column.kind == "string":
            assert values.str.len_chars().max() <= column.max_length, column.name
            assert (values.str.len_chars().fill_null(1) > 0).all(), column.name
    assert frame.select(*table.key, "arrived_at").is_unique().all()
    assert (frame["arrived_at"] >= frame["event_at"]).all()


@pytest.mark.parametrize("name", TABLES)
def test_no_table_tells_the_truth(full, name: str):
    assert TRUTH_COLUMNS.isdisjoint(TABLES[name].names)
    assert set(full[0][name].columns) == set(TABLES[name].names)


@pytest.mark.parametrize(
    ("child", "key", "parent"),
    [
        ("cards", "customer_id", "customers"),
        ("devices", "customer_id", "customers"),
        ("products", "merchant_id", "merchants"),
        ("orders", "customer_id", "customers"),
        ("orders", "merchant_id", "merchants"),
        ("orders", "product_id", "products"),
        ("payments", "order_id", "orders"),
        ("payments", "customer_id", "customers"),
        ("payments", "card_id", "cards"),
        ("payments", "merchant_id", "merchants"),
        ("payments", "device_id", "devices"),
        ("chargebacks", "payment_id", "payments"),
        ("verdicts", "payment_id", "payments"),
    ],
)
def test_what_a_row_points_at_is_known_before_the_row(full, child: str, key: str, parent: str):
    known = full[0][parent].group_by(key).agg(known_at=pl.col("arrived_at").min())
    rows = full[0][child].drop_nulls(key).join(known, on=key, how="left")
    assert rows["known_at"].null_count() == 0
    assert (rows["known_at"] <= rows["arrived_at"]).all()


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


def test_records_change(full):
    for name in ("customers", "merchants", "products"):
        frame, key = full[0][name], TABLES[name].key[0]
        assert frame[key].n_unique() < frame.height, name
        assert frame.filter(pl.col("event_at").dt.date() > FULL.start)[key].n_unique() > 0, name


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


def test_each_row_lies_in_the_folder_of_its_arrival_day(tmp_path: Path):
    written: list[date] = []
    summary = simulate(SMALL, tmp_path / "landing", tmp_path / "truth", written.append)
    assert written == [SMALL.start + timedelta(days=day) for day in range(SMALL.days)]
    for name, table in TABLES.items():
        rows = 0
        for path in (tmp_path / "landing" / name).glob("dt=*/part-0.parquet"):
            frame = pl.read_parquet(path, hive_partitioning=False)
            assert tuple(frame.columns) == table.names
            assert set(frame["arrived_at"].dt.date()) == {date.fromisoformat(path.parent.name[3:])}
            rows += frame.height
        assert rows == summary.rows[name] > 0, name
    assert not list(tmp_path.rglob("*.unfinished"))
    truth = pl.read_parquet(tmp_path / "truth" / "payments.parquet")
    assert truth.height == summary.payments == SMALL.payments
    assert truth["is_fraud"].sum() == summary.frauds == sum(summary.frauds_by_scheme.values())


def test_what_arrives_after_the_last_day_is_not_there_yet(tmp_path: Path, small):
    summary = simulate(SMALL, tmp_path, None)
    assert summary.rows["chargebacks"] < small[0]["chargebacks"].height
    assert {path.name for path in tmp_path.iterdir()} == set(TABLES)


@pytest.mark.parametrize(
    "params",
    [
        Params(days=1, customers=10, merchants=5, payments_per_day=1),
        Params(days=3, customers=10, merchants=5, payments_per_day=50, review_share=0.0),
        Params(days=5, payments_per_day=400, drift_at=Params().start, late_share=0.0),
        Params(days=5, payments_per_day=400, mix=Mix(0, 1, 0, 0, 0), fraud_share=0.01),
        Params(days=5, payments_per_day=400, mix=Mix(0, 0, 0, 0, 1), present_share=0.1),
    ],
)
def test_extreme_marketplaces_work(params: Params, tmp_path: Path):
    summary = simulate(params, tmp_path)
    assert summary.payments == params.payments
    assert summary.frauds == max(1, round(params.payments * params.fraud_share))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fraud_share", 0.0009),
        ("fraud_share", 0.02),
        ("fraud_share", float("nan")),
        ("fraud_share", "half"),
        ("days", 0),
        ("days", 2.5),
        ("seed", -1),
        ("customers", 3),
        ("merchants", True),
        ("payments_per_day", 0),
        ("late_share", -0.1),
        ("verdict_accuracy", 0.2),
        ("start", "2026-01-05"),
        ("drift_at", date(2020, 1, 1)),
        ("drift_at", "2026-02-01"),
        ("mix", 0.5),
        ("currency", "euro"),
    ],
)
def test_a_wrong_parameter_is_named(field: str, value: object):
    with pytest.raises(ValueError, match=rf"^{field}: "):
        Params(**{field: value})


def test_a_wrong_mix_is_named():
    with pytest.raises(ValueError, match=r"^mix\.card_testing: "):
        Mix(card_testing=1.5)
    with pytest.raises(ValueError, match=r"^mix: "):
        Mix(0, 0, 0, 0, 0)
