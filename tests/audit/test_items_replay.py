"""Lists are replayed as scores are: with the index that answered, and without what had not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from agora.audit.parity import alike, parity
from agora.audit.replay import loader
from agora.audit.trace import find, trace
from agora.online_features import publish
from agora.serving import Predictor
from agora.serving.index_gate import index_gate
from agora.settings import Settings
from agora.stores import indexes
from agora.stores.drain import drain
from agora.stores.indexes import attach, publish_index
from agora.stores.lake import Lake
from agora.stores.online import MemoryOnlineStore
from agora.stores.predictions import FilePredictionLog
from agora.stores.retention import Retention
from tests.audit.histories import ENTITIES, table
from tests.systems.synthetic import catalogue, training_set
from tests.toy_items_system import CLICKS, SETS, ToyItems, toy_items_system

if TYPE_CHECKING:
    from pathlib import Path

SYSTEM = toy_items_system()
ITEMS = catalogue(SYSTEM)
WISHES: list[dict[str, Any]] = [
    {}, {"k": 9, "session": [{"product_id": "7"}, {"product_id": "11", "kind": "cart"}]},
    {"filters": {"category": "home", "price_min": 3.5}}, {"filters": {"category": "none"}},
    {"customer_id": "unheard of"},
]  # fmt: skip


class OneModel:
    """A registry with one version."""

    def __init__(self, pipeline: ToyItems) -> None:
        self._pipeline = pipeline

    def load(self, system: Any, version: str) -> ToyItems:
        assert indexes.model_of(version) == "1"
        return self._pipeline


class Shop:
    """A lake, a store and a log, and the answers of some versions."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(home=folder)
        self.lake, self.store = Lake(str(folder / "lake")), MemoryOnlineStore()
        self.model = ToyItems("1").fit(training_set(SYSTEM, 1_000))
        rng = np.random.default_rng(3)
        for feature_set in SETS[0]:
            ids = [str(n) for n in range(ENTITIES)]
            at = [
                datetime.now(UTC) - timedelta(hours=float(h)) for h in rng.uniform(1, 20, ENTITIES)
            ]
            self.lake.write(
                feature_set.table, table(feature_set, ids, at, rng), partition_by="feature_date"
            )
            publish(self.lake, self.store, feature_set)
        self.load = loader(OneModel(self.model), SYSTEM, self.settings)

    def index(self, items: pl.DataFrame, retention: Retention | None = None) -> ToyItems:
        new, keep = self.model.with_items(items), retention or Retention()
        publish_index(SYSTEM, new, self.settings, index_gate(SYSTEM), retention=keep)
        return attach(self.model, self.settings.indexes, SYSTEM.name).pipeline

    def answer(self, pipeline: ToyItems, name: str) -> list[str]:
        log = FilePredictionLog(self.settings.prediction_log / SYSTEM.name)
        predictor = Predictor(SYSTEM, pipeline, self.store, log)
        answers = [
            predictor.predict_one({"request_id": f"{name}-{n}", "customer_id": str(n), **wish})
            for n, wish in enumerate(WISHES)
        ]
        log.close()
        drain(self.settings.prediction_log / SYSTEM.name, self.lake)
        return [answer.prediction_id for answer in answers]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_lists_of_every_index_are_equal_offline(shop: Shop) -> None:
    shop.answer(shop.model, "own")
    shop.answer(shop.index(ITEMS), "first")
    # Another order of clicks: another list, which the first index would not give.
    shop.answer(shop.index(ITEMS.with_columns(pl.col(CLICKS).reverse())), "second")
    found = parity(SYSTEM, shop.lake, shop.load)
    assert found.passed, str(found)
    assert (found.rows, found.scored) == (15, 15)


def test_an_answer_of_another_index_than_it_says_closes_the_gate(shop: Shop) -> None:
    shop.index(ITEMS)
    other = shop.model.with_items(ITEMS.with_columns(pl.col(CLICKS) * 2))
    other.version = "1+i1"
    shop.answer(other, "wrong")
    found = parity(SYSTEM, shop.lake, shop.load)
    assert set(found.mismatches["where"]) == {"version 1+i1"}


def test_what_had_not_answered_is_left_out_of_the_replay(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(ToyItems, "_similar", _raise)
        shop.answer(shop.model, "similar")
    with monkeypatch.context() as broken:
        broken.setattr(ToyItems, "retrieve", _raise)
        shop.answer(shop.model, "popular")
    found = parity(SYSTEM, shop.lake, shop.load)
    assert found.passed, str(found)
    assert found.scored == 10


def test_an_index_that_is_no_longer_kept_is_no_difference(shop: Shop) -> None:
    shop.answer(shop.index(ITEMS), "first")
    for _ in range(2):
        shop.index(ITEMS, Retention(age=timedelta(0), fewest=1))
    found = parity(SYSTEM, shop.lake, shop.load)
    assert (found.passed, found.rows, found.scored) == (True, 5, 0)


def test_a_challenger_lists_alone_what_it_lists_among_many(shop: Shop) -> None:
    shop.answer(shop.model, "own")
    assert alike(SYSTEM, shop.lake, shop.model).passed


def test_a_list_is_traced_to_its_index_and_found_again(shop: Shop) -> None:
    ids = shop.answer(shop.index(ITEMS), "first")
    for prediction_id in ids:
        row = find(shop.lake, SYSTEM.name, prediction_id)
        found = trace(SYSTEM, shop.lake, row, shop.load, None)
        assert (found.equal, found.differing, found.problem) == (True, [], "")
        assert found.prediction["model_version"] == "1+i1"
    assert found.prediction["request"]["customer_id"] == "unheard of"


def test_a_list_that_would_be_another_is_named(shop: Shop) -> None:
    (prediction_id, *_) = shop.answer(shop.model, "own")
    shop.model.ids_ = np.roll(shop.model.ids_, 1)
    row = find(shop.lake, SYSTEM.name, prediction_id)
    assert trace(SYSTEM, shop.lake, row, shop.load, None).differing == ["items"]


def _raise(*_: Any, **__: Any) -> Any:
    raise RuntimeError("out of order")
