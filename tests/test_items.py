"""Items: keys that tables of numbers hold, catalogues as known, training sets of shown items."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from agora.dataset import Split, TrainingSet, build_training_set
from agora.features import Feature, FeatureSet
from agora.items import Items, catalogue_of, item_key, item_keys
from agora.stores.lake import Lake
from tests.feature_histories import CARD, CARDS, TIME, table_schema
from tests.toy_items_system import toy_items_system

if TYPE_CHECKING:
    from pathlib import Path

    from agora.system import System

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SPLIT = Split(train_days=6, calibration_days=2, test_days=2, label_delay=DAY)
GOODS = toy_items_system().items.entity
CLICKS = FeatureSet(
    name="products__test", entity=GOODS, features=(Feature("clicks", "Clicks.", 0.0),),
    description="One row per product and day.", freshness=DAY, owner="team:catalogue",
)  # fmt: skip


def test_a_key_is_52_bits_of_the_ids_digest() -> None:
    ids = [f"p{n}" for n in range(500)] + ["", "né", "商品"]
    keys = item_keys(pl.Series([*ids, None], dtype=pl.String))
    assert keys.dtype == np.float64
    assert keys[:-1].tolist() == [float(item_key(each)) for each in ids]
    assert np.isnan(keys[-1])
    assert item_key("p1") == int(hashlib.md5(b"p1").hexdigest()[:13], 16) < 2**52
    assert int(float(item_key("p1"))) == item_key("p1")


def _catalogue(lake: Any, as_of: datetime) -> pl.DataFrame:
    return lake.query(f"""
        select product_id, title, listed_at from marts.products
        where arrived_at < timestamptz '{as_of.isoformat()}'
    """)


def _labelled(lake: Any, as_of: datetime) -> pl.DataFrame:
    return lake.query("from marts.impressions")


@pytest.fixture
def system() -> System:
    return replace(
        toy_items_system(), entities={CARD: "card_id"}, feature_sets=(CARDS,), labelled=_labelled,
        items=Items(GOODS, "product_id", (CLICKS,), _catalogue),
    )  # fmt: skip


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A product a day for 30 days; each day lists of three products, with their daily clicks."""
    lake = Lake(str(tmp_path / "lake"))
    days = [AS_OF - DAY * (30 - n) for n in range(30)]
    products = {
        "product_id": [f"p{n}" for n in range(30)], "title": ["a"] * 30, "listed_at": days,
        "arrived_at": days,
    }  # fmt: skip
    lake.write("marts/products", pl.DataFrame(products, schema_overrides=_times(products)))
    shown = {
        "request_id": [f"r{n}" for n in range(30) for _ in range(3)],
        "card_id": ["c1"] * 90,
        "filters": [{"category": "home", "price_min": float(n)} for n in range(30) for _ in "abc"],
        "session": [[{"product_id": "p1", "kind": "click"}]] * 90,
        "product_id": [f"p{place}" for _ in range(30) for place in range(3)],
        "position": [1, 2, 3] * 30,
        "event_at": [day + timedelta(hours=6) for day in days for _ in range(3)],
        "is_clicked": [True, False, False] * 30,
        "label_arrived_at": [day + timedelta(hours=7) for day in days for _ in range(3)],
    }
    lake.write("marts/impressions", pl.DataFrame(shown, schema_overrides=_times(shown)))
    rows = [(f"p{p}", d, d, d.date(), float(n)) for p in range(3) for n, d in enumerate(days)]
    schema = {"product_id": pl.String, "feature_at": TIME, "arrived_at": TIME}
    schema |= {"feature_date": pl.Date, "clicks": pl.Float64}
    clicks = pl.DataFrame(rows, schema=schema, orient="row")
    lake.write(CLICKS.table, clicks, partition_by="feature_date")
    cards = pl.DataFrame(schema=table_schema(CARDS))
    lake.write(CARDS.table, cards, partition_by="feature_date")
    return lake


def _times(columns: dict[str, Any]) -> dict[str, Any]:
    return {name: TIME for name in columns if name.endswith("_at")}


def test_a_catalogue_holds_what_was_known_and_the_features_of_then(
    lake: Lake, system: System
) -> None:
    found = catalogue_of(system, lake, AS_OF - DAY * 10)
    assert found["product_id"].to_list() == sorted(f"p{n}" for n in range(20))
    assert found["product_clicks"].to_list()[:2] == [19.0, 19.0]
    assert found.filter(product_id="p7")["product_clicks"].to_list() == [0.0]
    assert found.columns[-1] == CLICKS.time_column


def test_a_catalogue_with_an_id_twice_is_refused(lake: Lake, system: System) -> None:
    def doubled(lake: Any, as_of: datetime) -> pl.DataFrame:
        return pl.concat([_catalogue(lake, as_of)] * 2)

    with pytest.raises(ValueError, match="once per item"):
        catalogue_of(replace(system, items=replace(system.items, catalogue=doubled)), lake, AS_OF)


def test_training_rows_are_shown_items_with_the_features_of_both(
    lake: Lake, system: System
) -> None:
    made = build_training_set(system, lake, AS_OF, SPLIT)
    assert made.test["product_id"].n_unique() == 3
    assert made.test.select("request_id", "position").is_duplicated().sum() == 0
    # The day's row holds from its midnight: what was clicked later is not known.
    assert set(made.test["product_clicks"]) == {27.0, 28.0}
    assert {*CARDS.columns, *CLICKS.columns} < set(made.frame.columns)
    assert made.manifest.feature_sets == [CARDS.id, CLICKS.id]


def test_the_items_are_those_known_when_the_test_span_began(lake: Lake, system: System) -> None:
    made = build_training_set(system, lake, AS_OF, SPLIT)
    start = made.manifest.spans["test"].start
    assert_frame_equal(made.items, catalogue_of(system, lake, start))
    assert made.manifest.items == len(made.items) == 27


def test_a_training_set_with_items_is_loaded_as_it_was(lake: Lake, system: System) -> None:
    made = build_training_set(system, lake, AS_OF, SPLIT)
    first = made.save(lake)
    build_training_set(system, lake, AS_OF - DAY, SPLIT).save(lake)
    loaded = TrainingSet.load(lake, system.name, first)
    assert_frame_equal(loaded.frame, made.frame)
    assert_frame_equal(loaded.items, made.items)
    assert loaded.manifest == made.manifest
    assert loaded.frame["filters"].dtype == pl.Struct(
        {"category": pl.String, "price_min": pl.Float64}
    )


def test_other_items_than_the_manifests_are_refused(lake: Lake, system: System) -> None:
    made = build_training_set(system, lake, AS_OF, SPLIT)
    replace(made, items=made.items.reverse()).save(lake)
    with pytest.raises(ValueError, match="training_items version 1: rows differ"):
        TrainingSet.load(lake, system.name)
