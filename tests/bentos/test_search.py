"""The search service, as BentoML runs it: answers, faults, outcomes, kept lists, suggestions."""

from __future__ import annotations

import json
import shutil
from copy import copy
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import polars as pl
import pytest

from agora.serving.precomputed import publish_lists
from agora.settings import Settings
from agora.stores import indexes
from agora.stores.drain import drain
from agora.stores.lake import Lake
from agora.stores.valkey import open_online, stop_online
from agora.systems.search import SYSTEM
from tests.bentos.item_services import deployed, listening, until
from tests.bentos.searching import Service, serving, with_encoders
from tests.systems.search.shop import catalogue, fitted, nouns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("search_service")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("home")) as running:
        yield running


def test_a_search_is_answered_and_logged(service: Service) -> None:
    status, answer = service.search("  blue guitar ", request_id="logged", customer_id="c1", k=5)
    assert status == 200
    assert (answer["model_version"], answer["degraded"]) == ("1", False)
    assert set(nouns(answer)) == {"guitar"}
    assert [item["position"] for item in answer["items"]] == [1, 2, 3, 4, 5]
    lake = Lake(service.settings.lake)
    drain(service.settings.prediction_log / SYSTEM.name, lake)
    rows = lake.read(f"predictions/{SYSTEM.name}").filter(
        request_id="logged", prediction_id=answer["prediction_id"]
    )
    assert json.loads(rows["output"][0])["items"] == answer["items"]
    assert rows["tier"][0] == "trees"


def test_other_words_and_typing_errors_find_it_too(service: Service) -> None:
    _, seat = service.search("armchair")
    assert nouns(seat).count("sofa") >= 8
    assert {item["source"] for item in seat["items"]} == {"semantic"}
    _, couch = service.search("couch")
    assert "<em>sofa</em>" in couch["items"][0]["highlight"], "a synonym"
    _, typed = service.search("gutar", facets=True)
    assert (typed["corrected"], typed["query_used"]) == (True, "guitar")
    assert typed["facets"]["category"][0]["value"] == "music"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"query": ""}, "query"),
        ({"query": "   \n\t "}, "query"),
        ({"query": "a" * 10_000}, "query"),
        ({"query": "lamp " * 2_000}, "query"),
        ({"query": None}, "query"),
        ({"query": ["lamp"]}, "query"),
        ({"query": "lamp\0"}, "query"),
        ({"k": 0}, "k"),
        ({"k": 51}, "k"),
        ({"filters": {"price_min": -1}}, "filters.price_min"),
        ({"filters": {"colour": "red"}}, "filters.colour"),
        ({"session": [{"product_id": "p", "kind": "stolen"}]}, "session.0.kind"),
        ({"facets": "all"}, "facets"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_is_no_search_is_refused_by_its_field(
    service: Service, fields: dict[str, Any], field: str
) -> None:
    status, answer = service.search(**{"query": "lamp", **fields})
    assert status == 422
    assert answer["error"]["field"] == field
    assert answer["error"]["fix"]


@pytest.mark.parametrize(
    "query",
    ["+title:lamp AND (NOT", '"lamp', "lamp\\", "lamp~2 ^3 [a TO b]", "*", "-", "\u200b", "ラン",
     "lámp", "😀 lamp", "'; drop table products; --", "<script>alert(1)</script>", "l" * 500,
     "lamp " * 99, "under 20", "\u202elamp", "\ud800 lamp"],
)  # fmt: skip
def test_whatever_is_typed_gets_a_clear_answer(service: Service, query: str) -> None:
    status, answer = service.search(query, facets=True)
    # A lone surrogate is no text at all.
    assert status == (400 if "\ud800" in query else 200), answer
    if status == 200:
        assert not answer["degraded"], answer["fallbacks"]
        assert "<script" not in "".join(item["highlight"] for item in answer["items"])


@pytest.mark.parametrize(
    "fields",
    [
        {"customer_id": "nobody"},
        {"customer_id": None, "session": None, "filters": None},
        {"session": [{"product_id": "no such product"}, {"product_id": "p0001", "kind": "cart"}]},
        {"session": [{"product_id": "p0001", "at": "2026-03-01T12:00:00Z"}] * 50, "k": 50},
        {"filters": {"in_stock": False}, "k": 50},
    ],
)
def test_whoever_asks_gets_a_list(service: Service, fields: dict[str, Any]) -> None:
    status, answer = service.search("red", **fields)
    assert (status, answer["degraded"]) == (200, False)
    assert len(answer["items"]) >= min(fields.get("k", 10), 40)


def test_filters_that_match_nothing_give_an_empty_list_that_says_so(service: Service) -> None:
    for filters in (
        {"category": "none such"}, {"merchant_id": "nobody"}, {"price_min": 9.0, "price_max": 1.0},
    ):  # fmt: skip
        status, answer = service.search("lamp", filters=filters)
        assert (status, answer["items"], answer["degraded"]) == (200, [], False)
        assert "filters" in answer["notice"]


def test_suggestions_go_on_with_what_was_typed(service: Service) -> None:
    status, answer = service.ask("GET", "/suggest?prefix=gu&k=3")
    assert (status, [each["query"] for each in answer["suggestions"]]) == (200, ["guitar"])
    _, more = service.ask("GET", f"/suggest?prefix={quote('blue la')}")
    assert more["suggestions"][0]["query"] == "blue lamp"
    for prefix in ("", "%20", "zzzz", quote('"*('), quote("ラ"), "%00"):
        status, answer = service.ask("GET", f"/suggest?prefix={prefix}")
        assert status in {200, 422}
        assert status == 422 or answer == {"suggestions": []}
    status, answer = service.ask("GET", f"/suggest?prefix={'a' * 500}")
    assert (status, answer["error"]["field"]) == (422, "prefix")


def test_outcomes_of_a_list_are_kept_and_become_interactions(service: Service) -> None:
    _, answer = service.search("lamp", request_id="with outcome", customer_id="c-4")
    service.outcomes_become_interactions(answer, "with outcome", "c-4")


def test_a_list_made_in_batch_is_looked_up(service: Service) -> None:
    _, answer = service.search("white novel", request_id="batch", k=20)
    rows = pl.DataFrame(
        {
            "model_version": ["1"],
            "request": [json.dumps({"query": "white novel"})],
            "output": [json.dumps(answer)],
        }
    )
    assert SYSTEM.items is not None
    publish_lists(SYSTEM, SYSTEM.items, open_online(service.settings), rows)
    assert service.ask("GET", "/precomputed?query=white%20novel") == (200, answer)
    assert service.ask("GET", "/precomputed?query=other")[0] == 404


def test_a_torn_index_leaves_the_one_before_serving(service: Service) -> None:
    settings, pipeline = service.settings, SYSTEM.load(service.model)
    more = pipeline.with_items(catalogue(280))
    for _ in range(2):
        indexes.publish_index(SYSTEM, more, settings, lambda old, new: ())
    until(lambda: service.search("lamp")[1]["model_version"] == "1+i2")
    newest = indexes.place_of(settings.indexes, SYSTEM.name, 2)
    for file in (path for path in newest.rglob("*") if path.is_file()):
        torn = file.read_bytes()[:-3]
        # As a writer that replaces files: what is open stays as it is.
        file.unlink()
        file.write_bytes(torn)
    status, answer = service.search("guitar")
    assert (status, len(answer["items"]), answer["model_version"]) == (200, 10, "1+i2")
    assert indexes.attach(pipeline, settings.indexes, SYSTEM.name).pipeline.version == "1+i1"


def test_a_product_deleted_after_indexing_is_shown_no_more(service: Service) -> None:
    pipeline = SYSTEM.load(service.model)
    gone = "p0000"
    fewer = pipeline.with_items(catalogue(280).filter(pl.col("product_id") != gone))
    published = indexes.publish_index(SYSTEM, fewer, service.settings, SYSTEM.index_gate)
    assert published.reasons == ()
    until(lambda: service.search("lamp")[1]["model_version"] == f"1+i{published.number}")
    session = [{"product_id": gone, "kind": "cart"}]
    status, answer = service.search("red lamp", session=session, k=50)
    assert status == 200
    assert gone not in {item["product_id"] for item in answer["items"]}
    report = {"list_id": "search", "product_id": gone, "kind": "click"}
    assert service.ask("POST", "/outcomes", report, role="analyst")[0] == 200


def test_without_the_encoder_words_alone_answer_and_it_is_said(tmp_path: Path) -> None:
    with serving(tmp_path, encoder="no-such-encoder") as alone:
        status, answer = alone.search("blue guitar", once=True, k=5)
        assert status == 200
        assert (answer["degraded"], answer["fallbacks"]) == (True, ["semantic"])
        assert set(nouns(answer)) == {"guitar"}
        status, answer = alone.search("armchair", once=True)
        assert (status, answer["items"]) == (200, [])


def problem(service: Service) -> str:
    return service.ask("GET", "/model", role="operator")[1]["index"]["problem"] or ""


def served(service: Service, number: int) -> bool:
    return bool(service.search("lamp")[1]["model_version"] == f"1+i{number}")


def test_an_index_of_another_model_is_not_taken_and_one_that_goes_is_served_on(
    service: Service,
) -> None:
    settings, pipeline = service.settings, SYSTEM.load(service.model)
    first = indexes.publish_index(SYSTEM, pipeline, settings, lambda old, new: ())
    until(lambda: served(service, first.number))
    pipeline.version = "9"
    other = indexes.publish_index(SYSTEM, pipeline, settings, lambda old, new: ())
    until(lambda: "of model 9, not of 1" in problem(service))
    for made in (settings.indexes / SYSTEM.name).glob("[0-9]*"):
        shutil.rmtree(made)
    gone = f"index {other.number}: is not there"
    until(lambda: gone in problem(service) or "of model 9" in problem(service))
    status, answer = service.search("guitar")
    assert (status, answer["degraded"]) == (200, False)
    assert answer["model_version"] == f"1+i{first.number}"
    pipeline.version = "1"
    last = indexes.publish_index(SYSTEM, pipeline, settings, lambda old, new: ())
    until(lambda: served(service, last.number))


def test_a_service_whose_index_is_missing_starts_with_the_one_of_its_model(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with_encoders(tmp_path)
    model = deployed(SYSTEM, copy(fitted()), settings)
    indexes.publish_index(SYSTEM, SYSTEM.load(model), settings, lambda old, new: ())
    shutil.rmtree(settings.indexes / SYSTEM.name / "1")
    try:
        with listening(Service, SYSTEM, settings, model) as alone:
            status, answer = alone.search("guitar")
            assert (status, answer["model_version"], answer["degraded"]) == (200, "1", False)
            assert len(answer["items"]) == 10
            assert "index 1: is not there" in problem(alone)
    finally:
        stop_online(settings)


def test_without_the_store_words_and_meaning_still_answer(service: Service) -> None:
    stop_online(service.settings)
    try:
        status, answer = service.search("blue guitar", once=True, customer_id="c1", k=5)
        assert status == 200
        assert (answer["degraded"], answer["fallbacks"]) == (True, ["store"])
        assert set(nouns(answer)) == {"guitar"}
        assert service.ask("GET", "/precomputed?query=lamp")[0] == 404
    finally:
        # As it was, for whoever comes after.
        open_online(service.settings).close()
