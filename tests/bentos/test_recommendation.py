"""The recommendation service, as BentoML runs it: answers, faults, outcomes, kept lists."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from agora.items import item_key
from agora.serving.precomputed import publish_lists
from agora.stores import indexes
from agora.stores.drain import drain
from agora.stores.lake import Lake
from agora.stores.valkey import open_online, stop_online
from agora.systems.recommendation import SYSTEM
from tests.bentos.item_services import until
from tests.bentos.recommending import Service, serving
from tests.systems.recommendation.shop import NOUNS, catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("recommendation_service")
KINDS = len(NOUNS)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("home")) as running:
        yield running


def nouns(answer: dict[str, Any]) -> list[str]:
    return [item["title"].split()[0] for item in answer["items"]]


def clicks(kind: int) -> list[dict[str, str]]:
    """A minute ago, two products of one kind."""
    at = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    return [
        {"product_id": f"p{kind + KINDS * each:04}", "kind": "click", "at": at} for each in (1, 2)
    ]


def test_a_visit_is_answered_and_logged(service: Service) -> None:
    status, answer = service.recommend(request_id="logged", customer_id="c-1", k=12)
    assert status == 200
    assert (answer["model_version"], answer["degraded"]) == ("1", False)
    assert [item["position"] for item in answer["items"]] == list(range(1, 13))
    assert all(0 < item["propensity"] <= 1 and item["source"] for item in answer["items"])
    lake = Lake(service.settings.lake)
    drain(service.settings.prediction_log / SYSTEM.name, lake)
    rows = lake.read(f"predictions/{SYSTEM.name}").filter(
        request_id="logged", prediction_id=answer["prediction_id"]
    )
    assert json.loads(rows["output"][0])["items"] == answer["items"]
    assert rows["tier"][0] == "trees"


def test_what_was_clicked_a_minute_ago_changes_the_next_answer(service: Service) -> None:
    for kind in (1, 4):
        _, before = service.recommend(customer_id="c-2")
        _, after = service.recommend(customer_id="c-2", session=clicks(kind))
        assert nouns(after).count(NOUNS[kind]) > nouns(before).count(NOUNS[kind])


def test_an_interest_that_reached_the_store_changes_the_next_answer(service: Service) -> None:
    online = open_online(service.settings)
    interests = SYSTEM.feature_sets[0]
    values = dict.fromkeys(interests.names, float("nan"))
    for step, number in enumerate((9, 15), 1):
        values[f"product_{step}"] = float(item_key(f"p{number:04}"))
        values[f"kind_{step}"], values[f"event_at_{step}"] = 1.0, time.time() - 60.0 * step
    now, row = np.array([time.time_ns() // 1000]), np.array([list(values.values())])
    _, before = service.recommend(customer_id="c-3")
    assert online.write(interests, ["c-3"], now, now, row) == 1
    # A repeat within seconds gets the same answer, so this is another visit.
    _, after = service.recommend(request_id="later", customer_id="c-3")
    assert nouns(after).count(NOUNS[3]) > nouns(before).count(NOUNS[3])


@pytest.mark.parametrize(
    "fields",
    [
        {"customer_id": "nobody"},
        {"customer_id": None, "session": None, "filters": None, "country": None},
        {"session": [{"product_id": "no such product"}, {"product_id": "p0001", "kind": "cart"}]},
        {"session": [{"product_id": "p0001", "at": "2026-03-01T12:00:00Z"}] * 50, "k": 50},
        {"filters": {"in_stock": False}, "k": 50},
    ],
)
def test_whoever_asks_gets_a_list(service: Service, fields: dict[str, Any]) -> None:
    status, answer = service.recommend(**fields)
    assert status == 200
    assert not answer["degraded"], answer["fallbacks"]
    assert len(answer["items"]) == fields.get("k", 10)
    assert answer["notice"] is None


def test_filters_that_match_nothing_give_an_empty_list_that_says_so(service: Service) -> None:
    for filters in (
        {"category": "none such"}, {"merchant_id": "nobody"}, {"price_min": 9.0, "price_max": 1.0},
    ):  # fmt: skip
        status, answer = service.recommend(filters=filters)
        assert (status, answer["items"], answer["degraded"]) == (200, [], False)
        assert "filters" in answer["notice"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"k": 0}, "k"),
        ({"k": 51}, "k"),
        ({"filters": {"price_min": -1}}, "filters.price_min"),
        ({"filters": {"colour": "red"}}, "filters.colour"),
        ({"session": [{"product_id": "p", "kind": "stolen"}]}, "session.0.kind"),
        ({"session": [{"product_id": "p"}] * 51}, "session"),
        ({"country": "France"}, "country"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_is_no_visit_is_refused_by_its_field(
    service: Service, fields: dict[str, Any], field: str
) -> None:
    status, answer = service.recommend(**fields)
    assert status == 422
    assert answer["error"]["field"] == field


def test_outcomes_of_a_list_are_kept_and_become_interactions(service: Service) -> None:
    _, answer = service.recommend(request_id="with outcome", customer_id="c-4")
    service.outcomes_become_interactions(answer, "with outcome", "c-4")
    unknown = {"list_id": "somewhere else", "product_id": "p", "kind": "stolen"}
    assert service.ask("POST", "/outcomes", unknown, role="analyst")[0] == 422


def test_a_list_made_in_batch_is_looked_up(service: Service) -> None:
    _, answer = service.recommend(request_id="batch", customer_id="c-5", k=20)
    rows = pl.DataFrame(
        {
            "model_version": ["1"],
            "request": [json.dumps({"customer_id": "c-5"})],
            "output": [json.dumps(answer)],
        }
    )
    assert SYSTEM.items is not None
    publish_lists(SYSTEM, SYSTEM.items, open_online(service.settings), rows)
    assert service.ask("GET", "/precomputed?customer_id=c-5") == (200, answer)
    assert service.ask("GET", "/precomputed?customer_id=c-6")[0] == 404


def test_a_torn_index_leaves_the_one_before_serving(service: Service) -> None:
    settings, pipeline = service.settings, SYSTEM.load(service.model)
    more = pipeline.with_items(catalogue(280))
    for _ in range(2):
        indexes.publish_index(SYSTEM, more, settings, lambda old, new: ())
    until(lambda: service.recommend()[1]["model_version"] == "1+i2")
    newest = indexes.place_of(settings.indexes, SYSTEM.name, 2)
    for file in (path for path in newest.rglob("*") if path.is_file()):
        file.write_bytes(file.read_bytes()[:-3])
    indexes.publish_index(SYSTEM, more, settings, lambda old, new: ())
    third = indexes.place_of(settings.indexes, SYSTEM.name, 3)
    assert third.is_dir()
    status, answer = service.recommend()
    assert (status, len(answer["items"])) == (200, 10)


def test_a_product_deleted_after_indexing_is_shown_no_more(service: Service) -> None:
    pipeline = SYSTEM.load(service.model)
    gone = "p0002"
    fewer = pipeline.with_items(catalogue(280).filter(pl.col("product_id") != gone))
    published = indexes.publish_index(SYSTEM, fewer, service.settings, SYSTEM.index_gate)
    assert published.reasons == ()
    until(lambda: service.recommend()[1]["model_version"] == f"1+i{published.number}")
    session = [{"product_id": gone, "kind": "cart"}]
    status, answer = service.recommend(session=session, k=50)
    assert status == 200
    assert gone not in {item["product_id"] for item in answer["items"]}


def test_without_the_store_lists_are_made_of_the_visit_alone(service: Service) -> None:
    stop_online(service.settings)
    try:
        status, answer = service.recommend(once=True, customer_id="c-1", session=clicks(2))
        assert status == 200
        assert (answer["degraded"], answer["fallbacks"]) == (True, ["store"])
        assert nouns(answer).count(NOUNS[2]) >= 2
        assert service.ask("GET", "/precomputed?customer_id=c-1")[0] == 404
    finally:
        # As it was, for whoever comes after.
        open_online(service.settings).close()
