"""Training sets: what production could have known, named, repeatable."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from agora.dataset import Split, TrainingSet, build_training_set
from agora.manifest import TrainingSetManifest, content_hash, dbt_manifest_hash
from agora.stores.lake import Lake
from tests.feature_histories import CARD, CARDS, TIME, table_schema
from tests.toy_system import toy_system

if TYPE_CHECKING:
    from pathlib import Path

    from agora.system import System

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SPLIT = Split(train_days=10, calibration_days=3, test_days=3, label_delay=2 * DAY)
# From AS_OF backwards: delay, test, delay, calibration, delay, train.
TEST, CALIBRATION, TRAIN = AS_OF - 5 * DAY, AS_OF - 10 * DAY, AS_OF - 22 * DAY


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Four payments a day for 25 days, a label for each half, and the cards' daily rows."""
    lake = Lake(str(tmp_path / "lake"))
    times = [AS_OF - DAY * 25 + timedelta(hours=6) * i for i in range(100)]
    payments = {"payment_id": [f"p{i}" for i in range(100)], "event_at": times}
    lake.write("marts/payments", _frame(payments | {"card_id": [f"c{i % 3}" for i in range(100)]}))
    labels = {"payment_id": [f"p{i}" for i in range(0, 100, 2)], "arrived_at": times[::2]}
    lake.write(
        "marts/payment_labels", _frame(labels | {"is_fraud": [i % 4 == 0 for i in range(50)]})
    )
    lake.write("raw/payments", _frame(payments))
    rows = [
        (f"c{i}", AS_OF - DAY * d, AS_OF - DAY * d, (AS_OF - DAY * d).date(), float(d), None)
        for i in range(3)
        for d in range(26)
    ]
    features = pl.DataFrame(rows, schema=table_schema(CARDS), orient="row")
    lake.write(CARDS.table, features, partition_by="feature_date")
    return lake


def _frame(columns: dict[str, list[object]]) -> pl.DataFrame:
    times = {name: TIME for name in columns if name.endswith("_at")}
    return pl.DataFrame(columns, schema_overrides=times)


def _labelled(lake: Lake, as_of: datetime) -> pl.DataFrame:
    return lake.query(f"""
        select payment_id, card_id, event_at, is_fraud, arrived_at as label_arrived_at
        from marts.payments left join (
            from marts.payment_labels where arrived_at <= timestamptz '{as_of.isoformat()}'
        ) using (payment_id)
    """)


@pytest.fixture
def system() -> System:
    entities = {CARD: "card_id"}
    return replace(
        toy_system(), name="toy", entities=entities, feature_sets=(CARDS,), labelled=_labelled
    )


def _label(lake: Lake, payment: str, arrived_at: datetime) -> None:
    labels = lake.read("marts/payment_labels").filter(pl.col("payment_id") != payment)
    new = _frame({"payment_id": [payment], "arrived_at": [arrived_at], "is_fraud": [True]})
    lake.write("marts/payment_labels", pl.concat([labels, new], how="vertical"))


def _payment(lake: Lake, event_at: datetime) -> str:
    found = lake.read("marts/payments").filter(pl.col("event_at") == event_at)
    return str(found["payment_id"][0])


def test_spans_leave_the_label_delay_between_them(lake: Lake, system: System) -> None:
    made = build_training_set(system, lake, AS_OF, SPLIT)
    for name, start, days in (
        ("train", TRAIN, 10),
        ("calibration", CALIBRATION, 3),
        ("test", TEST, 3),
    ):
        span, rows = made.manifest.spans[name], getattr(made, name)
        assert (span.start, span.end, span.known_at) == (
            start,
            start + DAY * days,
            span.end + DAY * 2,
        )
        assert rows["event_at"].min() == start
        assert rows["event_at"].max() == start + DAY * days - timedelta(hours=6)
        assert made.manifest.rows[name] == len(rows) == days * 4
        assert made.manifest.positives[name] == rows["is_fraud"].sum() > 0


@pytest.mark.parametrize(
    ("span", "event_at"), [("train", TRAIN), ("calibration", CALIBRATION), ("test", TEST)]
)
def test_a_label_counts_if_it_arrived_before_its_span_was_used(
    lake: Lake, system: System, span: str, event_at: datetime
) -> None:
    payment = _payment(lake, event_at)
    used_at = SPLIT.spans(AS_OF)[span].known_at
    for arrived_at, is_fraud in ((used_at - DAY / 24, True), (used_at, False), (AS_OF, False)):
        _label(lake, payment, arrived_at)
        rows = getattr(build_training_set(system, lake, AS_OF, SPLIT), span)
        row = rows.row(by_predicate=pl.col("payment_id") == payment, named=True)
        assert row["is_fraud"] is is_fraud
        assert (row["label_arrived_at"] is not None) is is_fraud


def test_rows_without_a_label_are_negative_or_dropped(lake: Lake, system: System) -> None:
    kept = build_training_set(system, lake, AS_OF, SPLIT)
    dropped = build_training_set(system, lake, AS_OF, replace(SPLIT, unlabelled="dropped"))
    assert kept.frame["is_fraud"].null_count() == 0
    assert len(dropped.frame) == len(kept.frame) / 2
    assert dropped.frame["label_arrived_at"].null_count() == 0


def test_features_are_those_of_the_moment(lake: Lake, system: System) -> None:
    frame = build_training_set(system, lake, AS_OF, SPLIT).frame
    age = frame["event_at"] - frame["cards__test__feature_at"]
    assert age.min() == timedelta(hours=6)
    assert age.max() == DAY
    assert frame["card_mean"].is_nan().all()


def test_the_same_inputs_give_the_same_training_set(lake: Lake, system: System) -> None:
    made = build_training_set(system, lake, AS_OF, SPLIT)

    def shuffled(lake: Lake, as_of: datetime) -> pl.DataFrame:
        return _labelled(lake, as_of).sample(fraction=1, shuffle=True)

    again = build_training_set(replace(system, labelled=shuffled), lake, AS_OF, SPLIT)
    assert_frame_equal(again.frame, made.frame)
    assert again.manifest == made.manifest


def test_the_manifest_names_what_was_read_while_others_write(lake: Lake, system: System) -> None:
    before = build_training_set(system, lake, AS_OF, SPLIT)

    def interrupted(snapshot: Lake, as_of: datetime) -> pl.DataFrame:
        rows = _labelled(snapshot, as_of)
        lake.write("marts/payments", lake.read("marts/payments").head(1))
        lake.write(CARDS.table, lake.read(CARDS.table).head(1), partition_by="feature_date")
        return rows

    # The features are first read after the writer: those are newer, the payments are not.
    made = build_training_set(replace(system, labelled=interrupted), lake, AS_OF, SPLIT)
    assert made.manifest.rows == before.manifest.rows
    assert made.manifest.tables["marts/payments"] == before.manifest.tables["marts/payments"]
    assert made.manifest.tables[CARDS.table] == lake.version(CARDS.table)
    again = build_training_set(system, lake, AS_OF, SPLIT, versions=before.manifest.tables)
    assert again.manifest.content_hash == before.manifest.content_hash
    assert again.manifest.tables == before.manifest.tables


def test_the_manifest_says_what_went_in(lake: Lake, system: System, tmp_path: Path) -> None:
    dbt = tmp_path / "manifest.json"
    dbt.write_text(json.dumps({"nodes": {"model.a": {"raw_code": "select 1"}}}))
    manifest = build_training_set(system, lake, AS_OF, SPLIT, dbt_manifest=dbt).manifest
    assert set(manifest.tables) == {"marts/payments", "marts/payment_labels", CARDS.table}
    assert manifest.upstream == {"raw/payments": lake.version("raw/payments")}
    assert manifest.feature_sets == ["cards__test@1"]
    assert manifest.dbt_manifest_hash == dbt_manifest_hash(dbt)
    assert manifest.code_version
    assert TrainingSetManifest.from_json(manifest.to_json()) == manifest


def test_only_code_changes_the_hash_of_dbts_manifest(tmp_path: Path) -> None:
    def hashed(run: str, code: str) -> str:
        path = tmp_path / "manifest.json"
        nodes = {"model.a": {"raw_code": code, "created_at": run}}
        path.write_text(json.dumps({"metadata": {"invocation_id": run}, "nodes": nodes}))
        return dbt_manifest_hash(path)

    assert hashed("1", "select 1") == hashed("2", "select 1") != hashed("2", "select 2")


def test_a_saved_training_set_is_loaded_as_it_was(lake: Lake, system: System) -> None:
    made = build_training_set(system, lake, AS_OF, SPLIT)
    first = made.save(lake, {"run_id": "1"})
    later = build_training_set(system, lake, AS_OF, replace(SPLIT, test_days=1))
    second = later.save(lake)
    for version, saved in ((first, made), (second, later), (None, later)):
        loaded = TrainingSet.load(lake, "toy", version)
        assert_frame_equal(loaded.frame, saved.frame)
        assert loaded.manifest == saved.manifest
        assert loaded.version == (second if version is None else version)


def test_rows_that_are_not_those_of_the_manifest_are_refused(lake: Lake, system: System) -> None:
    made = build_training_set(system, lake, AS_OF, SPLIT)
    replace(made, frame=made.frame.reverse()).save(lake)
    with pytest.raises(ValueError, match="rows differ"):
        TrainingSet.load(lake, "toy")


def test_a_training_set_that_was_not_built_is_named(lake: Lake) -> None:
    with pytest.raises(LookupError, match="toy/training_set has not been built"):
        TrainingSet.load(lake, "toy")


def test_the_hash_sees_values_order_names_types_and_nulls() -> None:
    frame = pl.DataFrame({"a": ["x", None, ""], "b": [1.0, float("nan"), None], "c": [1, 2, 3]})
    variants = [
        frame,
        frame.reverse(),
        frame.rename({"a": "z"}),
        frame.cast({"c": pl.Int32}),
        frame.with_columns(pl.col("a").fill_null("")),
        frame.with_columns(pl.col("b").fill_null(0.0)),
        frame.with_columns(a=pl.Series(["", None, "x"])),
    ]
    assert len({content_hash(variant) for variant in variants}) == len(variants)
    assert content_hash(pl.concat([frame[:1], frame[1:]], rechunk=False)) == content_hash(frame)
