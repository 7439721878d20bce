from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from agora.pipeline import PipelineError, predict, scores, verify
from agora.systems.fraud import SYSTEM
from agora.systems.fraud.features import INPUTS
from agora.systems.fraud.pipeline import FraudPipeline, Params
from tests.systems.synthetic import rows, training_set

if TYPE_CHECKING:
    from pathlib import Path

QUICK = replace(Params.quick(), seeds=(0, 1))
GOLDEN = SYSTEM.golden[0]
pytestmark = pytest.mark.xdist_group("systems")


@pytest.fixture(scope="module")
def fitted() -> FraudPipeline:
    return FraudPipeline(QUICK).fit(training_set(SYSTEM, 3_000))


def test_probabilities_are_calibrated_on_the_calibration_span(fitted: FraudPipeline) -> None:
    made = training_set(SYSTEM, 3_000)
    share = made.calibration["is_fraud"].mean()
    assert scores(fitted, made.calibration).mean() == pytest.approx(share, rel=0.05)


def test_what_is_approved_has_no_reasons_and_the_rest_has(fitted: FraudPipeline) -> None:
    answers = predict(fitted, rows(SYSTEM, 1_000, seed=2))
    approved = answers["decision"] == "approve"
    assert 0 < approved.sum() < answers.height
    assert (answers["reasons"].list.len() == 0).equals(approved)


def test_decisions_follow_the_scores(fitted: FraudPipeline) -> None:
    answers = predict(fitted, rows(SYSTEM, 1_000, seed=2)).sort("score")
    level = answers["decision"].replace_strict({"approve": 0, "review": 1, "decline": 2})
    assert level.is_sorted()


def test_a_larger_amount_than_usual_never_lowers_what_the_rules_say(fitted: FraudPipeline) -> None:
    frame = rows(SYSTEM, 200, seed=3)
    from agora.pipeline import columns_of
    from agora.systems.fraud.rulebook import BOOK

    larger = frame.with_columns(pl.col("amount") * 10)
    before, after = (BOOK.scores(BOOK.hits(fitted.decode(columns_of(f)))) for f in (frame, larger))
    assert (after >= before).all()
    assert (after > before).any()


def test_a_pipeline_of_other_features_is_refused(fitted: FraudPipeline, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    with pytest.raises(PipelineError, match="fitted on other feature sets"):
        verify(tmp_path, system="fraud", feature_sets=("cards__daily@2",))
    with pytest.raises(PipelineError, match="a pipeline of 'fraud'"):
        verify(tmp_path, system="churn", feature_sets=())


def test_too_few_frauds_to_calibrate_on_are_named() -> None:
    made = training_set(SYSTEM, 1_500)
    honest = made.frame.with_columns(is_fraud=pl.col("is_fraud") & (pl.col("split") == "train"))
    with pytest.raises(ValueError, match="widen the calibration span"):
        FraudPipeline(QUICK).fit(type(made)(honest, made.label, made.manifest))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", -0.01), ("amount", 1e7 + 1), ("amount", "12"), ("amount", None),
        ("currency", "euro"), ("currency", "eur"), ("channel", "fax"), ("country", "FRA"),
        ("latitude", 90.1), ("longitude", -181), ("event_at", "2026-03-01T12:00:00"),
        ("customer_id", ""), ("device_id", 7), ("payment_id", "p" * 65),
    ],
)  # fmt: skip
def test_a_bad_field_is_named(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        SYSTEM.request.model_validate({**GOLDEN, field: value})
    assert [error["loc"][0] for error in caught.value.errors()] == [field]


def test_a_missing_field_is_named() -> None:
    without = {name: value for name, value in GOLDEN.items() if name != "card_id"}
    with pytest.raises(ValidationError, match="card_id"):
        SYSTEM.request.model_validate(without)


def test_averaging_seeds_is_averaging_log_odds(fitted: FraudPipeline) -> None:
    from agora.pipeline import columns_of

    matrix = fitted.decode(columns_of(rows(SYSTEM, 50, seed=4)))[:, : len(INPUTS)]
    each = [booster.predict(matrix, raw_score=True) for booster in fitted.boosters_.boosters]
    assert fitted.boosters_.raw(matrix) == pytest.approx(np.mean(each, axis=0))
