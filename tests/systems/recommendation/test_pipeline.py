from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from agora.candidates import Retrieved
from agora.pipeline import predict
from agora.systems.recommendation import SYSTEM
from agora.systems.recommendation.features import STRATEGIES
from agora.systems.recommendation.pipeline import RecommendationPipeline
from tests.systems.recommendation.shop import (
    CATEGORIES,
    NOUNS,
    asked,
    catalogue,
    fitted,
    quiet,
    training_set,
    visits,
)

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def pipeline() -> RecommendationPipeline:
    return quiet(fitted())


def answer(pipeline: RecommendationPipeline, **fields: Any) -> dict[str, Any]:
    columns = asked(event_at=NOW, **fields)
    found = Retrieved(columns, pipeline.retrieve(columns))
    matrix = pipeline.decode(found)
    return {n: v[0] for n, v in pipeline.decide(pipeline.infer(matrix), matrix, found).items()}


def kinds(items: list[dict[str, Any]]) -> list[str]:
    return [item["title"].split()[0] for item in items]


def test_customers_get_what_is_of_their_kind(pipeline: RecommendationPipeline) -> None:
    frame = visits(60, seed=5)
    made = predict(pipeline, frame)["items"].to_list()
    own = [NOUNS[taste] for taste in frame["taste"].to_list()]
    share = np.mean([kinds(items).count(noun) / 10 for items, noun in zip(made, own, strict=True)])
    assert share > 3 / CATEGORIES


def test_what_was_clicked_a_minute_ago_changes_the_answer(
    pipeline: RecommendationPipeline,
) -> None:
    before = kinds(answer(pipeline, session=[])["items"])
    for taste, noun in enumerate(NOUNS):
        clicked = [
            {"product_id": f"p{taste + CATEGORIES * each:04}", "kind": "click",
             "at": NOW - timedelta(minutes=1)}
            for each in (1, 2)
        ]  # fmt: skip
        after = kinds(answer(pipeline, session=clicked)["items"])
        assert after.count(noun) > before.count(noun)
        assert after.count(noun) >= 4


def test_a_session_outweighs_an_older_habit(pipeline: RecommendationPipeline) -> None:
    row = visits(200, seed=7).filter(pl.col("taste") == 0).head(1)
    event = {"product_id": "p0003", "kind": "cart", "at": row["event_at"][0]}
    schema = row.schema["session"]
    live = row.with_columns(session=pl.Series([[event] * 1], dtype=schema))
    before, after = (kinds(predict(pipeline, each)["items"][0].to_list()) for each in (row, live))
    assert after.count(NOUNS[3]) > before.count(NOUNS[3])


def test_filters_hold_for_every_product(pipeline: RecommendationPipeline) -> None:
    items = catalogue()
    found = {row["product_id"]: row for row in items.iter_rows(named=True)}
    filters = {"category": "novel", "merchant_id": None, "price_min": 10.0, "price_max": 60.0}
    given = answer(pipeline, filters={**filters, "in_stock": None}, k=20.0)
    rows = [found[item["product_id"]] for item in given["items"]]
    assert rows
    assert all(r["category"] == "novel" and 10 <= r["price"] <= 60 and r["stock"] for r in rows)
    only = answer(pipeline, filters={"merchant_id": "m3", "in_stock": True}, k=20.0)
    assert {found[item["product_id"]]["merchant_id"] for item in only["items"]} == {"m3"}
    assert len(only["items"]) == pipeline.params.rules.per_seller
    assert only["notice"]


def test_nothing_sold_out_is_shown_unless_asked_for(pipeline: RecommendationPipeline) -> None:
    stock = dict(catalogue().select("product_id", "stock").iter_rows())
    for filters in (None, {"category": "tent"}, {"category": "tent", "in_stock": True}):
        given = answer(pipeline, filters=filters, k=50.0)["items"]
        assert all(stock[item["product_id"]] for item in given)
    # One tent in five is sold out.
    all_of_them = answer(pipeline, filters={"category": "tent", "in_stock": False}, k=50.0)
    assert {stock[item["product_id"]] for item in all_of_them["items"]} == {0, 5}


def test_filters_that_match_nothing_give_an_empty_list_that_says_so(
    pipeline: RecommendationPipeline,
) -> None:
    for filters in ({"category": "none such"}, {"price_min": 50.0, "price_max": 40.0}):
        given = answer(pipeline, filters=filters)
        assert given["items"] == []
        assert given["score"] == 0
        assert "filters" in given["notice"]


def test_strangers_and_unknown_products_are_answered(pipeline: RecommendationPipeline) -> None:
    unknown = [{"product_id": "no such product", "kind": "purchase", "at": NOW}]
    for session in (None, [], unknown):
        given = answer(pipeline, customer_id=None, session=session)
        assert len(given["items"]) == 10
        assert all(np.isfinite(item["score"]) for item in given["items"])


def test_every_strategy_finds_something_and_may_be_missing(
    pipeline: RecommendationPipeline,
) -> None:
    columns = asked(event_at=NOW, session=[{"product_id": "p0001", "kind": "click", "at": NOW}])
    found = pipeline.retrieve(columns)
    assert set(found.scores) == set(STRATEGIES)
    assert all(np.isfinite(scores).any() for scores in found.scores.values())
    for name in STRATEGIES:
        without = Retrieved(columns, pipeline.retrieve(columns, (name,)))
        assert without.candidates.skipped == (name,)
        matrix = pipeline.decode(without)
        decided = pipeline.decide(pipeline.infer(matrix), matrix, without)
        assert len(decided["items"][0]) == 10
        assert name not in {item["source"] for item in decided["items"][0]}


def test_a_product_listed_since_is_found_by_its_content(pipeline: RecommendationPipeline) -> None:
    more = catalogue(300)
    new = more.with_columns(
        listed_at=pl.lit(NOW - timedelta(days=1)).cast(more.schema["listed_at"])
    )
    other = pipeline.with_items(
        pl.concat([catalogue(), new.filter(pl.col("product_id") > "p0239")])
    )
    assert len(other.item_ids) == 300
    session = [{"product_id": "p0002", "kind": "click", "at": NOW}]
    columns = asked(event_at=NOW, session=session)
    found = other.retrieve(columns)
    since = found.item[np.isfinite(found.scores["new"])]
    order = np.argsort(-found.scores["new"][np.isfinite(found.scores["new"])])
    nearest = [str(other.item_ids[item]) for item in since[order][:10]]
    like = sum(int(name[1:]) % CATEGORIES == 2 for name in nearest)
    assert like >= 5
    shown = answer(other, session=session, k=10.0)["items"]
    assert any(item["product_id"] >= "p0228" for item in shown)


def test_a_deleted_product_is_neither_shown_nor_missed(pipeline: RecommendationPipeline) -> None:
    gone = pipeline.with_items(catalogue().filter(pl.col("product_id") != "p0002"))
    session = [{"product_id": "p0002", "kind": "cart", "at": NOW}]
    assert "p0002" not in {i["product_id"] for i in answer(gone, session=session, k=50.0)["items"]}
    kept = {"items": answer(pipeline, k=50.0)["items"], "score": 0.5, "notice": None}
    kept["items"][0]["product_id"] = "p0002"
    columns = asked(event_at=NOW, k=5.0)
    again = gone.relist(kept, columns)["items"][0]
    assert [item["position"] for item in again] == [1, 2, 3, 4, 5]
    assert "p0002" not in {item["product_id"] for item in again}


def test_a_kept_list_is_cut_and_filtered_or_given_up(pipeline: RecommendationPipeline) -> None:
    made = answer(pipeline, k=20.0)
    columns = asked(event_at=NOW, k=5.0)
    assert len(pipeline.relist(made, columns)["items"][0]) == 5
    nothing = asked(event_at=NOW, k=5.0, filters={"category": "none such"})
    assert pipeline.relist(made, nothing) is None
    assert pipeline.popular(nothing)["items"] == [[]]
    assert len(pipeline.popular(columns)["items"][0]) == 5


def test_an_index_alone_is_saved_and_loaded(
    pipeline: RecommendationPipeline, tmp_path: Path
) -> None:
    pipeline.save_index(tmp_path)
    frame = visits(20, seed=8)
    assert predict(pipeline.load_index(tmp_path), frame).equals(predict(pipeline, frame))


def test_a_daily_update_goes_on_from_the_former_towers(pipeline: RecommendationPipeline) -> None:
    updated = RecommendationPipeline(pipeline.params).fit(training_set(seed=1), start=pipeline)
    frame = visits(60, seed=5)
    made = quiet(updated)
    own = [NOUNS[taste] for taste in frame["taste"].to_list()]
    lists = predict(made, frame)["items"].to_list()
    share = np.mean([kinds(items).count(noun) / 10 for items, noun in zip(lists, own, strict=True)])
    assert share > 3 / CATEGORIES


def test_the_report_tells_order_reach_variety_and_value(pipeline: RecommendationPipeline) -> None:
    report = SYSTEM.evaluate(pipeline, training_set(), None)
    assert report.differences["most_popular"].low > 0
    # Who takes what together says all there is in this shop.
    assert report.differences["item_to_item"].high > 0
    reached = {name: each["recall_at_1000"].value for name, each in report.metrics.items()}
    # What was sold out since is not reached.
    assert 0.8 < reached["candidate"] < 1
    assert report.metrics["candidate"]["clicks_per_list_logged"].value > 0


@pytest.mark.parametrize("rows", [0, 40])
def test_a_shop_in_which_nothing_was_taken_is_told_so(rows: int) -> None:
    made = training_set()
    frame = made.frame.head(rows).with_columns(
        pl.lit(0).cast(made.frame.schema[made.label]).alias(made.label)
    )
    with pytest.raises(ValueError, match="training_set: nothing was taken"):
        RecommendationPipeline().fit(replace(made, frame=frame))
