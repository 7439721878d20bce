"""What is found, how it is ordered, and what is said of it."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from agora.candidates import RetrievalError
from agora.retrieval.synonyms import SynonymsError
from agora.systems.search import synonyms
from agora.systems.search.gate import index_gate
from agora.systems.search.pipeline import SearchPipeline
from tests.systems.search.shop import answer, asked, catalogue, fitted, nouns, training_set

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("search_shop")


@pytest.fixture(scope="module")
def pipeline() -> SearchPipeline:
    return fitted()


def without_encoder(pipeline: SearchPipeline) -> SearchPipeline:
    """The same where the encoder cannot be opened."""
    made = copy(pipeline)
    made.params = replace(pipeline.params, encoder="no-such-encoder")
    made._meaning = replace(pipeline._meaning, encoder=None)
    made._use(pipeline.index_)
    return made


def test_what_has_all_words_stands_first(pipeline: SearchPipeline) -> None:
    found = answer(pipeline, "blue guitar", k=5)
    titles = [item["title"] for item in found["items"]]
    assert all(title.startswith("blue guitar") for title in titles), titles
    assert found["total"] >= 5
    assert 0 < found["score"] <= 1


def test_a_typing_error_is_corrected_and_said(pipeline: SearchPipeline) -> None:
    found = answer(pipeline, "gutar", k=5)
    assert (found["corrected"], found["query_used"]) == (True, "guitar")
    assert set(nouns(found)) == {"guitar"}
    right = answer(pipeline, "guitar", k=5)
    assert (right["corrected"], right["query_used"]) == (False, "guitar")


def test_other_words_of_the_same_meaning_find_it_too(pipeline: SearchPipeline) -> None:
    found = answer(pipeline, "armchair", k=5)
    assert nouns(found).count("sofa") >= 4, found
    assert {item["source"] for item in found["items"]} == {"semantic"}


def test_a_synonym_is_found_by_words_and_highlighted(pipeline: SearchPipeline) -> None:
    found = answer(without_encoder(pipeline), "couch", k=5)
    assert set(nouns(found)) == {"sofa"}
    assert not found["corrected"]
    assert all("<em>sofa</em>" in item["highlight"] for item in found["items"])


def test_an_instances_own_synonyms_are_taken_and_a_malformed_file_stops_the_next_index(
    pipeline: SearchPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "search.yml"
    monkeypatch.setattr(synonyms, "OWN", own)
    own.write_text("two_way:\n  - [lamp, glow]\n")
    found = answer(without_encoder(pipeline).with_items(catalogue()), "glow")
    assert set(nouns(found)) == {"lamp"}
    own.write_text("two_way:\n  - [lamp]\n")
    with pytest.raises(SynonymsError, match=r"search.yml, line 2, two_way\[0\]"):
        pipeline.with_items(catalogue())


def test_the_category_that_is_meant_is_told(pipeline: SearchPipeline) -> None:
    assert answer(pipeline, "red boots")["category"] == "fashion"
    assert answer(pipeline, "xqzvwk")["category"] is None


def test_nonsense_finds_nothing_and_says_so(pipeline: SearchPipeline) -> None:
    found = answer(pipeline, "xqzvwk")
    assert (found["items"], found["total"], found["score"]) == ([], 0, 0.0)
    assert found["notice"] == "No product fits the query."


def test_a_price_in_the_query_is_understood(pipeline: SearchPipeline) -> None:
    query = pipeline._understanding.of("lamp under 30")
    assert (query.ceiling, query.reading.words, query.corrected) == (30.0, ("lamp",), False)
    assert pipeline._understanding.of("cheap lamp").is_cheap
    assert set(nouns(answer(pipeline, "lamp under 30", k=5))) == {"lamp"}


@pytest.mark.parametrize(
    ("filters", "holds"),
    [
        ({"category": "home"}, lambda row: row["category"] == "home"),
        ({"merchant_id": "m3"}, lambda row: row["merchant_id"] == "m3"),
        ({"price_min": 20.0, "price_max": 40.0}, lambda row: 20 <= row["price"] <= 40),
        ({"in_stock": True, "category": "music"}, lambda row: row["category"] == "music"),
        (None, lambda row: True),
    ],
)
def test_filters_are_kept_and_what_is_sold_out_is_left_out(
    pipeline: SearchPipeline, filters: dict[str, Any] | None, holds: Any
) -> None:
    known = {row["product_id"]: row for row in catalogue().to_dicts()}
    found = answer(pipeline, "red", k=50, filters=filters)
    rows = [known[item["product_id"]] for item in found["items"]]
    assert rows
    assert all(holds(row) and row["stock"] > 0 for row in rows)


def test_what_is_sold_out_is_found_where_it_is_asked_for(pipeline: SearchPipeline) -> None:
    known = {row["product_id"]: row["stock"] for row in catalogue().to_dicts()}
    found = answer(pipeline, "green", k=50, filters={"in_stock": False})
    assert any(known[item["product_id"]] == 0 for item in found["items"])


def test_filters_that_leave_nothing_say_so(pipeline: SearchPipeline) -> None:
    found = answer(pipeline, "lamp", filters={"category": "none such"}, facets=1.0)
    assert (found["items"], found["total"]) == ([], 0)
    assert found["notice"] == "No product fits the query and the filters."
    assert found["facets"] == {"category": [], "merchant_id": [], "price": []}


def test_facets_count_all_that_was_found(pipeline: SearchPipeline) -> None:
    found = answer(pipeline, "red", k=3, facets=1.0)
    for name in ("category", "merchant_id", "price"):
        assert sum(each["count"] for each in found["facets"][name]) == found["total"]
    assert answer(pipeline, "red", k=3)["facets"] is None


def test_words_are_highlighted_and_all_else_is_escaped(pipeline: SearchPipeline) -> None:
    first = answer(pipeline, "blue lamp")["items"][0]
    assert "<em>lamp</em>" in first["highlight"]
    items = catalogue().with_columns(title=pl.col("title") + " <b>&")
    other = answer(pipeline.with_items(items), "lamp")["items"][0]
    assert "&lt;b&gt;&amp;" in other["highlight"]


@pytest.mark.parametrize(
    "query",
    ["+title:lamp AND (NOT", '"lamp', "lamp\\", "lamp~2 ^3 [a TO b]", "*", "-", "\u200b", "ラン",
     "лампа", "lámp", "😀 lamp", "l" * 500, "lamp " * 100, "under 20", "cheap"],
)  # fmt: skip
def test_whatever_is_typed_gets_an_answer(pipeline: SearchPipeline, query: str) -> None:
    found = answer(pipeline, query)
    assert len(found["items"]) <= 10
    assert (found["notice"] is None) == (len(found["items"]) == 10)


def test_without_the_encoder_words_alone_answer(pipeline: SearchPipeline) -> None:
    plain = without_encoder(pipeline)
    found = plain.retrieve(asked(query="blue guitar"))
    assert found.skipped == ("semantic",)
    assert all(title == "guitar" for title in nouns(answer(plain, "blue guitar", k=5)))
    assert answer(plain, "armchair")["items"] == []


def test_what_a_query_found_is_remembered_as_long_as_the_index_is_the_same(
    pipeline: SearchPipeline,
) -> None:
    found = pipeline.retrieve(asked(query="red lamp"))
    assert pipeline.retrieve(asked(query="red lamp", customer_id="c1", k=3.0)) is found
    with pytest.raises(ValueError, match="read-only"):
        found.item[0] = 0
    filtered = pipeline.retrieve(asked(query="red lamp", filters={"price_max": 20.0}))
    assert len(filtered) < len(found)
    assert pipeline.retrieve(asked(query="red lamp"), ("semantic",)).skipped == ("semantic",)
    other = pipeline.with_items(catalogue().filter(~pl.col("title").str.contains("red lamp")))
    left = other.retrieve(asked(query="red lamp"))
    assert "red lamp" in set(pipeline.index_.titles.gather(found.item).str.slice(0, 8))
    assert "red lamp" not in set(other.index_.titles.gather(left.item).str.slice(0, 8))


def test_what_only_one_strategy_answered_is_not_remembered(pipeline: SearchPipeline) -> None:
    lame = without_encoder(pipeline)
    found = lame.retrieve(asked(query="red lamp"))
    assert found.skipped == ("semantic",)
    assert lame.retrieve(asked(query="red lamp")) is not found


def test_an_index_without_vectors_is_refused_where_the_one_before_had_some(
    pipeline: SearchPipeline,
) -> None:
    blind = without_encoder(pipeline).with_items(catalogue())
    assert not blind.index_.has_vectors
    assert index_gate(None, blind) == ()
    assert index_gate(pipeline, blind) == ("its texts were not encoded",)


def test_a_pipeline_is_learned_without_the_encoder(pipeline: SearchPipeline) -> None:
    blind = SearchPipeline(replace(pipeline.params, encoder="no-such-encoder")).fit(training_set())
    assert all(noun == "guitar" for noun in nouns(answer(blind, "guitar", k=5)))
    with pytest.raises(RetrievalError):
        blind.retrieve(asked(query="guitar"), without=("lexical",))


def test_what_was_looked_at_is_a_taste(pipeline: SearchPipeline) -> None:
    columns = asked(query="red", session=[{"product_id": "p0000", "kind": "cart", "at": None}])
    read = pipeline.asked(columns)
    assert pipeline.index_.ids[read.rows[0][0]] == "p0000"
    gone = asked(query="red", session=[{"product_id": "no such", "kind": "cart", "at": None}])
    assert (pipeline.asked(gone).rows == -1).all()


def test_everybody_gets_what_has_the_words_in_its_title(pipeline: SearchPipeline) -> None:
    made = pipeline.popular(asked(query="white sofa", k=3))
    assert [item["source"] for item in made["items"][0]] == ["popular"] * 3
    assert all(item["title"].startswith("white sofa") for item in made["items"][0])
    assert pipeline.popular(asked(query="xqzvwk"))["items"] == [[]]


def test_an_index_whose_products_are_not_found_by_their_titles_is_refused(
    pipeline: SearchPipeline, tmp_path: Path
) -> None:
    torn = pipeline.with_items(catalogue())
    torn.index_.titles = pl.Series([f"other{i}" for i in range(len(torn.item_ids))])
    assert "found by their title" in " ".join(index_gate(None, torn))


def test_vectors_of_another_encoder_are_not_compared(pipeline: SearchPipeline) -> None:
    other = copy(pipeline)
    other._use(copy(pipeline.index_))
    other.index_.encoder = "another"
    other._use(other.index_)
    assert other.retrieve(asked(query="armchair")).skipped == ("semantic",)
    assert np.isfinite(pipeline._understanding.of("couch").vector).all()
