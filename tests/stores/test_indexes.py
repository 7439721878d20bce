"""Indexes: numbered folders, held against a gate, switched by one pointer."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from agora.serving.index_gate import index_gate
from agora.settings import Settings
from agora.stores import indexes
from agora.stores.indexes import attach, model_of, publish_index
from agora.stores.retention import Retention
from tests.systems.synthetic import catalogue, training_set
from tests.toy_items_system import CLICKS, ToyItems, toy_items_system

if TYPE_CHECKING:
    from pathlib import Path

SYSTEM = toy_items_system()
ITEMS = catalogue(SYSTEM)


@pytest.fixture(scope="module")
def fitted() -> ToyItems:
    pipeline = ToyItems("3").fit(training_set(SYSTEM, 1_000))
    return pipeline


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def _publish(pipeline: ToyItems, settings: Settings, items: int, **more: Any) -> Any:
    gate = more.pop("gate", index_gate(SYSTEM))
    return publish_index(SYSTEM, pipeline.with_items(ITEMS.head(items)), settings, gate, **more)


def test_a_new_index_serves_under_the_next_number(fitted: ToyItems, settings: Settings) -> None:
    assert attach(fitted, settings.indexes, SYSTEM.name) == (fitted, "")
    for number, items in ((1, 280), (2, 290)):
        made = _publish(fitted, settings, items)
        assert (made.number, made.items, made.reasons) == (number, items, ())
        pipeline, problem = attach(fitted, settings.indexes, SYSTEM.name)
        assert (pipeline.version, problem, len(pipeline.item_ids)) == (f"3+i{number}", "", items)
    assert fitted.version == "3"
    assert len(fitted.item_ids) == len(ITEMS)


@pytest.mark.parametrize("fault", ["cut", "removed", "no manifest", "gone"])
def test_a_torn_or_missing_index_leaves_the_one_before(
    fitted: ToyItems, settings: Settings, fault: str
) -> None:
    for items in (280, 290):
        _publish(fitted, settings, items)
    place = indexes.place_of(settings.indexes, SYSTEM.name, 2)
    match fault:
        case "cut":
            (place / "clicks.npy").write_bytes((place / "clicks.npy").read_bytes()[:-9])
        case "removed":
            (place / "items.json").unlink()
        case "no manifest":
            (place / "manifest.json").unlink()
        case _:
            place.rename(place.with_name("elsewhere"))
    pipeline, problem = attach(fitted, settings.indexes, SYSTEM.name)
    assert pipeline.version == "3+i1"
    assert problem.startswith("index 2: ")


def test_an_index_of_another_model_is_not_taken(fitted: ToyItems, settings: Settings) -> None:
    _publish(fitted, settings, 290)
    other = fitted.with_items(ITEMS)
    other.version = "4"
    pipeline, problem = attach(other, settings.indexes, SYSTEM.name)
    assert (pipeline.version, problem) == ("4", "index 1: of model 3, not of 4")
    # Its own is made, and after a rollback the former model finds the one that it had.
    assert _publish(other, settings, 290).number == 2
    assert attach(fitted, settings.indexes, SYSTEM.name).pipeline.version == "3+i1"


def test_a_torn_pointer_leaves_the_newest(fitted: ToyItems, settings: Settings) -> None:
    _publish(fitted, settings, 290)
    indexes.pointer_path(settings.indexes, SYSTEM.name).write_text('{"num')
    pipeline, problem = attach(fitted, settings.indexes, SYSTEM.name)
    assert pipeline.version == "3+i1"
    assert "cannot be read" in problem
    # The next one mends it.
    assert _publish(fitted, settings, 290).number == 2
    assert attach(fitted, settings.indexes, SYSTEM.name).problem == ""


def test_an_index_that_is_refused_leaves_no_trace(fitted: ToyItems, settings: Settings) -> None:
    _publish(fitted, settings, 290)
    refused = [
        _publish(fitted, settings, 0),
        _publish(fitted, settings, 100),
        _publish(fitted, settings, 290, gate=lambda old, new: (f"{old.version} is better",)),
    ]
    assert [each.number for each in refused] == [None] * 3
    assert [each.reasons[0] for each in refused] == [
        "the new index is empty",
        "the new index has 100 items, the one that serves 290",
        "3+i1 is better",
    ]
    assert attach(fitted, settings.indexes, SYSTEM.name).pipeline.version == "3+i1"
    assert indexes.numbers(settings.indexes, SYSTEM.name) == [1]
    assert _publish(fitted, settings, 100, most_lost=0.9).number == 2


def test_the_gate_asks_golden_requests_and_the_system(fitted: ToyItems, settings: Settings) -> None:
    broken = fitted.with_items(ITEMS)
    broken.ids_ = broken.ids_[:10]
    made = publish_index(SYSTEM, broken, settings, index_gate(SYSTEM))
    assert made.number is None
    assert made.reasons[0] == "golden request 0 is not answered: IndexError"
    unknown = fitted.with_items(ITEMS.with_columns(pl.lit(float("inf")).alias(CLICKS)))
    made = publish_index(SYSTEM, unknown, settings, index_gate(SYSTEM))
    assert "clicks are not finite" in made.reasons


def test_what_outlived_its_use_is_gone_and_says_so(fitted: ToyItems, settings: Settings) -> None:
    at_once = Retention(age=timedelta(0), fewest=2)
    for _ in range(4):
        _publish(fitted, settings, 290, retention=at_once)
    assert indexes.numbers(settings.indexes, SYSTEM.name) == [4, 3]
    with pytest.raises(indexes.IndexGoneError, match="index 1"):
        indexes.load(fitted, settings.indexes, SYSTEM.name, 1)


def test_all_of_a_busy_day_are_kept(fitted: ToyItems, settings: Settings) -> None:
    for _ in range(9):
        _publish(fitted, settings, 290)
    assert indexes.numbers(settings.indexes, SYSTEM.name) == list(range(9, 0, -1))


@pytest.mark.parametrize("version", ["3", "3+i5", "3+a2", "3+i5+a2"])
def test_a_version_names_its_model(version: str) -> None:
    assert model_of(version) == "3"
