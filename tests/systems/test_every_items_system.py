"""The contract that every system which chooses from items keeps beside that of all systems."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from agora.pipeline import columns_of, is_of_items, predict, retrieved
from agora.registry import SYSTEMS
from agora.serving.index_gate import index_gate
from agora.settings import Settings
from agora.stores.indexes import attach, publish_index
from tests.systems.synthetic import catalogue, rows, training_set
from tests.toy_items_system import toy_items_system

if TYPE_CHECKING:
    from pathlib import Path

    from agora.pipeline import ItemPipeline
    from agora.system import System

TOY = toy_items_system()
OF_ITEMS = {each.name: each for each in (*SYSTEMS.values(), TOY) if each.items}

pytestmark = pytest.mark.xdist_group("systems")


@pytest.fixture(scope="module", params=sorted(OF_ITEMS))
def system(request: pytest.FixtureRequest) -> System:
    return OF_ITEMS[request.param]


@pytest.fixture(scope="module")
def items(system: System) -> pl.DataFrame:
    return catalogue(system)


@pytest.fixture(scope="module")
def fitted(system: System) -> ItemPipeline:
    pipeline = system.build().fit(training_set(system))
    pipeline.version = "1"
    assert is_of_items(pipeline)
    return pipeline


def test_retrieval_has_a_budget_and_the_answer_a_list(system: System) -> None:
    assert "retrieval" in system.budgets.stages_ms
    assert system.path != "/score"
    assert {"items", "score"} <= system.response.model_fields.keys()
    assert system.adjusting is None, "an index and adjustments share the version's suffix"
    if system.items and system.items.keyed_by:
        assert system.items.keyed_by in system.request.model_fields


def test_candidates_are_in_order_and_none_comes_twice(system: System, fitted: ItemPipeline) -> None:
    frame = rows(system, 40, seed=21)
    found = fitted.retrieve(columns_of(frame))
    assert len(found) > 0
    pairs = found.request * len(fitted.item_ids) + found.item
    assert (np.diff(found.request) >= 0).all()
    assert len(np.unique(pairs)) == len(found)
    assert found.request.max() < len(frame)
    assert ((found.item >= 0) & (found.item < len(fitted.item_ids))).all()
    assert all(each.shape == (len(found),) for each in found.scores.values())
    some = np.column_stack([np.isfinite(each) for each in found.scores.values()])
    assert some.any(axis=1).all(), "each was found by a strategy"


def test_a_row_of_the_matrix_is_a_candidate(system: System, fitted: ItemPipeline) -> None:
    columns = retrieved(fitted, columns_of(rows(system, 20, seed=22)))
    matrix = fitted.decode(columns)
    assert matrix.dtype == np.float64
    assert np.array_equal(matrix[:, 0], columns.candidates.request)
    assert np.array_equal(matrix[:, 1], columns.candidates.item)


def test_a_list_names_each_item_once_and_counts_its_places(
    system: System, fitted: ItemPipeline
) -> None:
    known, shown = set(fitted.item_ids.tolist()), 0
    for answer in predict(fitted, rows(system, 60, seed=23)).to_dicts():
        ids = [item[system.items.column] for item in answer["items"]]
        assert len(set(ids)) == len(ids)
        assert set(ids) <= known
        assert [item["position"] for item in answer["items"]] == list(range(1, len(ids) + 1))
        shown += len(ids)
    assert shown > 0


def test_what_left_the_catalogue_is_shown_no_more(
    system: System, fitted: ItemPipeline, items: pl.DataFrame
) -> None:
    frame = rows(system, 30, seed=24)
    answers = predict(fitted, frame)["items"].to_list()
    shown = {item[system.items.column] for answer in answers for item in answer}
    left = fitted.with_items(items.filter(~pl.col(system.items.column).is_in(list(shown))))
    assert len(left.item_ids) == len(items) - len(shown)
    for answer in predict(left, frame)["items"].to_list():
        assert not shown & {item[system.items.column] for item in answer}
    assert predict(fitted, frame)["items"].to_list() == answers, "the index before is as it was"


def test_a_strategy_that_does_not_answer_is_named_and_the_others_do(
    system: System, fitted: ItemPipeline
) -> None:
    columns = columns_of(rows(system, 20, seed=25))
    names = list(fitted.retrieve(columns).scores)
    assert len(names) > 1
    for name in names:
        found = fitted.retrieve(columns, without=(name,))
        assert found.skipped == (name,)
        assert name not in found.scores or np.isnan(found.scores[name]).all()
        matrix = fitted.decode(retrieved(fitted, columns, (name,)))
        assert np.isfinite(fitted.infer(matrix).scores).all()


def test_what_everybody_gets_fits_the_answer(system: System, fitted: ItemPipeline) -> None:
    added = {"prediction_id": "p", "model_version": "1", "degraded": True, "fallbacks": ["x"]}
    frame = rows(system, 20, seed=26)
    answers = pl.DataFrame(fitted.popular(columns_of(frame)), schema=dict(fitted.outputs))
    assert len(answers) == len(frame)
    for answer in answers.to_dicts():
        system.response.model_validate({**answer, **added})


def test_a_list_made_in_batch_serves_a_later_request(system: System, fitted: ItemPipeline) -> None:
    frame = rows(system, 20, seed=27)
    for row, answer in enumerate(predict(fitted, frame).to_dicts()):
        again = fitted.relist(answer, columns_of(frame[row]))
        if again is not None:
            made = pl.DataFrame(again, schema=dict(fitted.outputs)).to_dicts()
            assert len(made) == 1
            ids = [item[system.items.column] for item in made[0]["items"]]
            assert set(ids) <= {item[system.items.column] for item in answer["items"]}


def test_the_index_alone_is_saved_and_loaded_bit_for_bit(
    system: System, fitted: ItemPipeline, items: pl.DataFrame, tmp_path: Path
) -> None:
    new = fitted.with_items(items.head(250))
    new.save_index(tmp_path)
    frame = rows(system, 60, seed=28)
    assert predict(fitted.load_index(tmp_path), frame).equals(predict(new, frame))


def test_an_index_passes_its_gate_and_one_that_lost_items_does_not(
    system: System, fitted: ItemPipeline, items: pl.DataFrame, tmp_path: Path
) -> None:
    settings, gate = Settings(home=tmp_path), index_gate(system)
    made = publish_index(system, fitted.with_items(items), settings, gate)
    assert (made.number, made.items, made.reasons) == (1, len(items), ())
    again = publish_index(system, fitted.with_items(items.tail(290)), settings, gate)
    assert (again.number, again.reasons) == (2, ())
    refused = publish_index(system, fitted.with_items(items.head(100)), settings, gate)
    lost = "the new index has 100 items, the one that serves 290"
    assert (refused.number, refused.reasons) == (None, (lost,))
    served, problem = attach(fitted, settings.indexes, system.name)
    assert (served.version, problem) == ("1+i2", "")


def test_fitting_needs_the_items_of_its_training_set(system: System) -> None:
    learned = training_set(system, 1_000)
    some = replace(learned, items=catalogue(system, 200))
    assert len(system.build().fit(some).item_ids) == 200
