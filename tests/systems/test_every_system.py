"""The contract that every system keeps, run against each of them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from agora.pipeline import (
    CHUNK,
    MANIFEST,
    PipelineError,
    columns_of,
    is_of_items,
    predict,
    retrieved,
    scores,
)
from agora.registry import SYSTEMS
from agora.stores.cards import card_of
from tests.systems.synthetic import rows, training_set
from tests.toy_items_system import toy_items_system

if TYPE_CHECKING:
    from pathlib import Path

    from agora.dataset import TrainingSet
    from agora.pipeline import Pipeline
    from agora.system import System

HEAVY = ("torch", "lightgbm", "sklearn", "mlflow", "matplotlib", "bentoml", "dagster", "pandas")
PICKLES = (b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")

pytestmark = pytest.mark.xdist_group("systems")


# The smallest system of items keeps the contract of all, so that it is known to be one that can be.
TOY = toy_items_system()


@pytest.fixture(scope="module", params=[*sorted(SYSTEMS), TOY.name])
def system(request: pytest.FixtureRequest) -> System:
    return SYSTEMS.get(request.param, TOY)


@pytest.fixture(scope="module")
def learned(system: System) -> TrainingSet:
    return training_set(system)


@pytest.fixture(scope="module")
def fitted(system: System, learned: TrainingSet) -> Pipeline:
    return system.build().fit(learned)


@pytest.fixture(scope="module")
def saved(fitted: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipeline")
    fitted.save(folder)
    return folder


def test_one_row_scores_as_it_does_among_many(system: System, fitted: Pipeline) -> None:
    frame = rows(system, 60, seed=3)
    together = predict(fitted, frame)
    one_by_one = pl.concat([predict(fitted, frame.slice(i, 1)) for i in range(frame.height)])
    assert together.equals(one_by_one)
    assert together.schema == pl.Schema(fitted.outputs)


def test_rows_keep_their_order_across_chunks(system: System, fitted: Pipeline) -> None:
    size, n = (fitted.rows_at_once, 50) if is_of_items(fitted) else (CHUNK, 500)
    frame = rows(system, n, seed=4)
    many = pl.concat([frame] * (size // n + 2))
    found = scores(fitted, many)
    assert np.array_equal(found[:n], found[-n:])


def test_no_rows_give_no_answers(system: System, fitted: Pipeline) -> None:
    empty = predict(fitted, rows(system, 5).clear())
    assert empty.height == 0
    assert empty.schema == pl.Schema(fitted.outputs)


def test_answers_fit_the_response_model(system: System, fitted: Pipeline) -> None:
    added = {"prediction_id": "p", "model_version": "1", "degraded": False, "fallbacks": []}
    for answer in predict(fitted, rows(system, 200, seed=5)).to_dicts():
        system.response.model_validate({**answer, **added})


def test_scores_are_bit_for_bit_those_of_the_saved_pipeline(
    system: System, fitted: Pipeline, saved: Path
) -> None:
    frame = rows(system, 500, seed=6)
    assert np.array_equal(scores(fitted, frame), scores(system.load(saved), frame))
    assert predict(fitted, frame).equals(predict(system.load(saved), frame))


def test_a_pipeline_saved_again_is_the_same_pipeline(
    system: System, saved: Path, tmp_path: Path
) -> None:
    system.load(saved).save(tmp_path)
    first, second = (json.loads((place / MANIFEST).read_text()) for place in (saved, tmp_path))
    assert first == second


def test_equal_training_sets_give_equal_pipelines(
    system: System, learned: TrainingSet, fitted: Pipeline
) -> None:
    again = system.build().fit(learned)
    frame = rows(system, 200, seed=7)
    assert np.array_equal(scores(fitted, frame), scores(again, frame))


def test_a_saved_pipeline_is_plain_files(saved: Path) -> None:
    for path in (each for each in saved.rglob("*") if each.is_file()):
        assert path.suffix not in {".pkl", ".pickle", ".joblib", ".pt"}
        assert not path.read_bytes().startswith(PICKLES)


def test_a_torn_pipeline_is_refused(system: System, fitted: Pipeline, tmp_path: Path) -> None:
    whole = _saved(fitted, tmp_path / "whole")
    paths = [path for path in whole.rglob("*") if path.is_file() and path.stat().st_size]
    for path in paths:
        content = path.read_bytes()
        path.write_bytes(content[:-5])
        with pytest.raises(PipelineError):
            system.load(whole)
        path.unlink()
        with pytest.raises(PipelineError):
            system.load(whole)
        path.write_bytes(content)
    system.load(whole)


def test_unknown_entities_get_a_score(system: System, fitted: Pipeline) -> None:
    frame = rows(system, 50, seed=8)
    unknown = frame.with_columns(
        *(pl.lit(None, pl.String).alias(key) for key in system.entities.values()),
        *(
            pl.lit(default).alias(column)
            for s in system.feature_sets
            for column, default in zip(s.columns, s.defaults, strict=True)
        ),
        *(
            pl.lit(None, frame.schema[s.time_column]).alias(s.time_column)
            for s in system.feature_sets
        ),
    )
    assert np.isfinite(scores(fitted, unknown)).all()


def test_a_pipeline_reads_only_what_a_request_and_its_features_say(
    system: System, fitted: Pipeline, learned: TrainingSet
) -> None:
    known = {*system.request.model_fields}
    for feature_set in system.feature_sets:
        known |= {*feature_set.columns, feature_set.time_column}
    test = learned.test.head(200) if system.items else learned.test
    asked = scores(fitted, test.select(column for column in test.columns if column in known))
    assert np.array_equal(asked, scores(fitted, test))


def test_fitting_never_looks_at_the_test_span(
    system: System, learned: TrainingSet, fitted: Pipeline
) -> None:
    flipped = learned.frame.with_columns(
        pl.when(pl.col("split") == "test").then(~pl.col(system.label)).otherwise(system.label)
        .alias(system.label)
    )  # fmt: skip
    other = system.build().fit(replace(learned, frame=flipped))
    frame = rows(system, 200, seed=9)
    assert np.array_equal(scores(fitted, frame), scores(other, frame))


def test_later_rows_change_no_earlier_score(system: System, fitted: Pipeline) -> None:
    frame = rows(system, 200, seed=10)
    later = frame.with_columns(pl.col("event_at") + timedelta(days=400))
    assert np.array_equal(scores(fitted, frame), scores(fitted, pl.concat([frame, later]))[:200])


def test_the_report_compares_with_every_baseline_of_the_gate(
    system: System, fitted: Pipeline, learned: TrainingSet
) -> None:
    report = system.evaluate(fitted, learned, fitted)
    assert set(system.gate.baselines) < set(report.metrics)
    assert report.differences["champion"].value == 0
    assert type(report).from_json(report.to_json()) == report
    assert system.gate.check(report).reasons or system.gate.check(report).passed


def test_the_gate_refuses_a_model_that_learned_noise(system: System, learned: TrainingSet) -> None:
    shuffled = learned.frame.with_columns(pl.col(system.label).shuffle(seed=1))
    noise = replace(learned, frame=shuffled)
    result = system.gate.check(system.evaluate(system.build().fit(noise), noise, None))
    assert not result.passed
    assert result.reasons


def test_the_model_card_is_complete(
    system: System, fitted: Pipeline, learned: TrainingSet, saved: Path
) -> None:
    from agora.pipeline import verify

    manifest = verify(saved, system=system.name, feature_sets=system.feature_set_ids)
    card = card_of(system, manifest, learned.manifest, system.evaluate(fitted, learned, None), 0)
    assert not [field for field in card.lacking() if field != "version"]


def test_columns_that_are_read_are_those_that_the_manifest_names(
    system: System, fitted: Pipeline, saved: Path
) -> None:
    inputs = json.loads((saved / MANIFEST).read_text())["inputs"]
    columns = columns_of(rows(system, 20, seed=11))
    assert np.array_equal(
        fitted.decode(retrieved(fitted, columns)),
        fitted.decode(retrieved(fitted, {name: columns[name] for name in inputs})),
        equal_nan=True,
    )


def _saved(pipeline: Pipeline, folder: Path) -> Path:
    pipeline.save(folder)
    return folder
