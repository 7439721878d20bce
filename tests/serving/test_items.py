"""A service of a system that chooses from items, asked over HTTP."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from agora.serving.index_gate import index_gate
from agora.serving.precomputed import key_of, publish_lists
from agora.settings import Settings
from agora.stores import indexes
from agora.stores.indexes import publish_index
from agora.stores.predictions import MemoryPredictionLog
from tests.serving.pages import Pages, pages_of
from tests.systems.synthetic import CATEGORIES, catalogue, training_set
from tests.toy_items_system import ToyItems, toy_items_system

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SYSTEM = toy_items_system()
ITEMS = catalogue(SYSTEM)
SESSION = [{"product_id": "7", "kind": "cart"}]


@pytest.fixture(scope="module")
def fitted() -> ToyItems:
    return ToyItems("1").fit(training_set(SYSTEM, 1_000))


@pytest.fixture
def shop(fitted: ToyItems, tmp_path: Path) -> Iterator[Pages]:
    settings = Settings(home=tmp_path, answers_seconds=0.0)
    with pages_of(SYSTEM, fitted, settings) as opened:
        yield opened


@pytest.fixture
def token(shop: Pages) -> str:
    return shop.keys.create("shop", "score")


@pytest.fixture
def log(shop: Pages) -> MemoryPredictionLog:
    kept = MemoryPredictionLog()
    shop.scoring.live._log = shop.scoring.live.predictor._log = kept
    return kept


def _ask(shop: Pages, token: str, **wish: Any) -> Any:
    return shop.ask("POST", "/recommend", token, json={"request_id": "r-1", **wish})


def test_one_request_gets_one_list(shop: Pages, token: str, log: MemoryPredictionLog) -> None:
    answer = _ask(shop, token, customer_id="3", k=7, session=SESSION).json()
    assert (answer["degraded"], answer["fallbacks"], len(answer["items"])) == (False, [], 7)
    (record,) = log.predictions
    assert json.loads(record.output) == answer
    assert json.loads(record.request)["session"] == SESSION
    assert (
        record.score
        == answer["score"]
        == pytest.approx(np.mean([item["score"] for item in answer["items"]]))
    )
    assert (record.tier, record.entity_ids) == ("fine", {"customer": "3"})
    assert {"retrieval", "inference", "inference/cheap", "inference/fine"} < set(record.latencies)
    assert b'stage="retrieval"' in shop.scoring.metrics.text()


def test_what_was_just_done_changes_the_answer(shop: Pages, token: str) -> None:
    lists = [
        [item["product_id"] for item in _ask(shop, token, session=session, k=50).json()["items"]]
        for session in ([], SESSION)
    ]
    assert lists[0] != lists[1]


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"filters": {"price_min": -1}}, "filters.price_min"),
        ({"filters": {"colour": "red"}}, "filters.colour"),
        ({"session": [{"product_id": "a\0"}]}, "session.0.product_id"),
        ({"session": [{"product_id": "7"}, {"kind": "click"}]}, "session.1.product_id"),
        ({"session": [{"product_id": "7"}] * 21}, "session"),
        ({"filters": [1]}, "filters"),
        ({"k": 0}, "k"),
    ],
)
def test_a_fault_inside_a_request_is_named_by_its_path(
    shop: Pages, token: str, wish: dict[str, Any], field: str
) -> None:
    answer = _ask(shop, token, **wish)
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == field
    assert answer.json()["error"]["fix"]


def test_filters_that_match_nothing_give_an_empty_list(
    shop: Pages, token: str, log: MemoryPredictionLog
) -> None:
    answer = _ask(shop, token, filters={"category": "nothing"})
    assert answer.status_code == 200
    assert (answer.json()["items"], answer.json()["degraded"]) == ([], False)
    assert log.predictions[0].tier == "retrieval"


def test_a_strategy_that_fails_is_named_and_the_rest_answers(
    shop: Pages, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ToyItems, "_similar", _broken)
    answer = _ask(shop, token).json()
    assert (answer["degraded"], answer["fallbacks"], len(answer["items"])) == (True, ["similar"], 5)


@pytest.mark.parametrize("part", ["retrieve", "decode", "cheap", "decide"])
def test_below_the_pipeline_stands_the_kept_list_and_below_it_what_everybody_gets(
    shop: Pages, token: str, log: MemoryPredictionLog, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _ask(shop, token, customer_id="3", k=9, session=SESSION).json()
    _keep(shop, "3", made)
    if part == "cheap":
        monkeypatch.setattr("tests.toy_items_pipeline.Cheap.score", _broken)
    else:
        monkeypatch.setattr(ToyItems, part, _broken)
    failed = {"retrieve": "retrieval"}.get(part, part)
    kept = _ask(shop, token, customer_id="3").json()
    assert kept["items"] == made["items"][:5]
    popular = _ask(shop, token, customer_id="unknown", filters={"category": "home"}).json()
    assert {item["source"] for item in popular["items"]} == {"popular"}
    assert [answer["fallbacks"] for answer in (kept, popular)] == [[failed]] * 2
    assert [each.tier for each in log.predictions[1:]] == ["kept", "popular"]
    assert shop.scoring.live.predictor.counts[f"fallback/{failed}"] == 2
    shop.store.down = True
    assert _ask(shop, token, customer_id="3").json()["fallbacks"] == ["store", failed]


def test_a_retrieval_that_hangs_is_given_up_at_its_budget(
    shop: Pages, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ToyItems, "_similar", lambda *_: time.sleep(1.0))
    took = []
    for _ in range(4):
        began = time.perf_counter()
        assert _ask(shop, token).status_code == 200
        took.append(time.perf_counter() - began)
    assert shop.scoring.live.predictor.breakers()["retrieval"] == "open"
    assert took[0] > 1.0 > took[-1], "it is waited for once, then no longer than its budget"


def test_a_kept_list_is_looked_up_by_its_key(shop: Pages, token: str) -> None:
    made = _ask(shop, token, customer_id="3").json()
    _keep(shop, "3", made)
    assert shop.ask("GET", "/precomputed?customer_id=3", token).json() == made
    missing = shop.ask("GET", "/precomputed?customer_id=4", token)
    assert (missing.status_code, missing.json()["error"]["message"][:16]) == (
        404,
        "there is nothing",
    )
    assert shop.ask("GET", "/precomputed", token).status_code == 422
    assert shop.ask("GET", "/precomputed?customer_id=3").status_code == 401
    assert key_of(SYSTEM.name, "1+i4", "3") == key_of(SYSTEM.name, "1", "3")
    assert key_of(SYSTEM.name, "2", "3") != key_of(SYSTEM.name, "1", "3")


def test_lists_of_a_batch_are_kept_for_the_service(shop: Pages, token: str) -> None:
    made = _ask(shop, token, customer_id="3").json()
    batch = pl.DataFrame(
        {
            "model_version": ["1+i2"] * 2,
            "request": [json.dumps({"request_id": "b", "customer_id": c}) for c in ("3", None)],
            "output": [json.dumps(made)] * 2,
        }
    )
    assert publish_lists(SYSTEM, SYSTEM.items, shop.store, batch) == 1
    assert shop.ask("GET", "/precomputed?customer_id=3", token).json() == made


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("prefix=", 200, ""), ("prefix=k&limit=1", 200, ""), ("", 422, "prefix"),
        ("prefix=a&limit=99", 422, "limit"), ("prefix=a&prefix=b", 422, "prefix"),
        ("prefix=%00", 422, "prefix"), ("prefix=a&<b>=1", 422, "(unknown)"),
        ("prefix=" + "x" * 60, 422, "prefix"), ("&".join(f"a{n}=" for n in range(99)), 422, ""),
        ("prefix=%ff", 200, ""),
    ],
)  # fmt: skip
def test_a_page_of_the_system_checks_what_it_is_asked(
    shop: Pages, token: str, query: str, status: int, field: str
) -> None:
    answer = shop.ask("GET", f"/suggest?{query}", token)
    assert answer.status_code == status
    if status == 200:
        assert set(answer.json()["categories"]) <= set(CATEGORIES)
    else:
        assert answer.json()["error"]["field"] == field


def test_pages_are_keyed_counted_and_published(shop: Pages, token: str) -> None:
    assert shop.ask("GET", "/suggest?prefix=h").status_code == 401
    assert shop.ask("GET", "/suggest?prefix=h", token).json() == {"categories": ["home"]}
    assert b'stage="page/suggest"' in shop.scoring.metrics.text()
    assert shop.ask("GET", "/").json()["pages"]["/suggest"] == "GET"
    document = shop.ask("GET", "/openapi.json").json()
    assert {"/recommend", "/suggest", "/precomputed"} <= document["paths"].keys()
    assert "/score" not in document["paths"]
    (prefix, limit) = document["paths"]["/suggest"]["get"]["parameters"]
    assert (prefix["required"], prefix["in"], limit["required"]) == (True, "query", False)
    event = document["components"]["schemas"]["Event"]["properties"]["product_id"]
    assert event["pattern"] == r"^[^\u0000]*$"


def test_a_new_index_is_taken_while_requests_run(shop: Pages, token: str, fitted: ToyItems) -> None:
    live = shop.scoring.live
    for number, items in ((1, 250), (2, 280)):
        new = fitted.with_items(ITEMS.head(items))
        publish_index(SYSTEM, new, shop.settings, index_gate(SYSTEM))
        live.follow()
        assert _ask(shop, token).json()["model_version"] == f"1+i{number}"
        described = live.describe()
        assert described["index"] == {"number": number, "items": items, "problem": None}
        assert (described["version"], described["problem"]) == (f"1+i{number}", None)


def test_a_torn_index_leaves_the_one_before_and_is_told(
    shop: Pages, token: str, fitted: ToyItems
) -> None:
    live = shop.scoring.live
    publish_index(SYSTEM, fitted.with_items(ITEMS), shop.settings, index_gate(SYSTEM))
    live.follow()
    publish_index(SYSTEM, fitted.with_items(ITEMS), shop.settings, index_gate(SYSTEM))
    torn = indexes.place_of(shop.settings.indexes, SYSTEM.name, 2) / "clicks.npy"
    torn.write_bytes(torn.read_bytes()[:-9])
    live.follow()
    assert _ask(shop, token).json()["model_version"] == "1+i1"
    assert "clicks.npy differs" in live.describe()["index"]["problem"]
    ready = shop.ask("GET", "/readyz")
    assert (ready.status_code, "index" in ready.json()["degraded"]) == (200, True)
    publish_index(SYSTEM, fitted.with_items(ITEMS), shop.settings, index_gate(SYSTEM))
    live.follow()
    assert live.describe()["index"] == {"number": 3, "items": len(ITEMS), "problem": None}


def _keep(shop: Pages, customer: str, answer: dict[str, Any]) -> None:
    shop.store.keep({key_of(SYSTEM.name, "1", customer): json.dumps(answer).encode()}, 60)


def _broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("out of order")
