from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from agora.adjustments import SHIFT, shifted
from agora.pipeline import PipelineError, columns_of
from agora.stacking import Stack
from agora.systems.fraud import SYSTEM
from agora.systems.fraud.costs import Thresholds
from agora.systems.fraud.features import INPUTS
from agora.systems.fraud.pipeline import FraudPipeline, Params
from agora.systems.fraud.routing import DEEP, LIGHT, RULES, Acting, band, measure
from agora.systems.fraud.rulebook import BOOK
from agora.systems.fraud.tiers import logit
from tests.systems.synthetic import rows, training_set

if TYPE_CHECKING:
    from pathlib import Path

    from agora.cascade import Inferred

ROWS = 4_000
SURE = {"device_of_frauds_far_away": 0.93, "at_the_merchant": 0.0002}
pytestmark = pytest.mark.xdist_group("systems")


@pytest.fixture(scope="module")
def fitted() -> FraudPipeline:
    """A small cascade in which two rules decide."""
    pipeline = FraudPipeline(Params.quick()).fit(training_set(SYSTEM, 3_000))
    pipeline.acting_ = Acting(SURE, {})
    pipeline._assemble()
    return pipeline


@pytest.fixture(scope="module")
def matrix(fitted: FraudPipeline) -> np.ndarray:
    """Decoded rows, of which the first and the second hundred fulfil the two rules."""
    found = np.ascontiguousarray(fitted.decode(columns_of(rows(SYSTEM, ROWS, seed=21))))
    for code, at in zip(SURE, (slice(0, 100), slice(100, 200)), strict=True):
        rule = next(rule for rule in BOOK.rules if rule.code == code)
        for accusing in BOOK.rules:
            if accusing.weight:
                for condition in accusing.conditions:
                    found[at, INPUTS.index(condition.name)] = np.nan
        for condition in rule.conditions:
            found[at, INPUTS.index(condition.name)] = condition.level
    return found


@pytest.fixture(scope="module")
def inferred(fitted: FraudPipeline, matrix: np.ndarray) -> Inferred:
    return fitted.infer(matrix)


def test_rules_decide_first_then_the_trees_then_the_network_where_they_are_unsure(
    fitted: FraudPipeline, matrix: np.ndarray, inferred: Inferred
) -> None:
    assert [tier.name for tier in fitted.tiers] == [RULES, LIGHT, DEEP]
    assert (inferred.tiers[:200] == 0).all()
    assert inferred.scores[:200].tolist() == [0.93] * 100 + [0.0002] * 100
    light = fitted.parts(matrix)[LIGHT]
    still_open = inferred.tiers > 0
    assert np.array_equal(inferred.tiers == 2, still_open & (light >= fitted.deep_from_))
    assert np.array_equal(inferred.scores[inferred.tiers == 1], light[inferred.tiers == 1])
    ensemble = fitted.parts(matrix)["ensemble"]
    assert inferred.scores[inferred.tiers == 2] == pytest.approx(ensemble[inferred.tiers == 2])


def test_a_payment_scores_alone_as_it_does_among_many_to_the_bit(
    fitted: FraudPipeline, matrix: np.ndarray, inferred: Inferred
) -> None:
    chosen = np.concatenate([np.flatnonzero(inferred.tiers == tier)[:200] for tier in range(3)])
    alone = [fitted.infer(matrix[row : row + 1]).scores[0] for row in chosen]
    assert np.array_equal(alone, inferred.scores[chosen])


def test_reasons_add_up_to_the_score_in_every_tier(
    fitted: FraudPipeline, matrix: np.ndarray, inferred: Inferred, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitted, "thresholds_", Thresholds(review=0.0, decline=2.0))
    decided = fitted.decide(inferred, matrix, {})
    sums = [sum(reason["contribution"] for reason in found) for found in decided["reasons"]]
    assert np.abs(sums - logit(inferred.scores)).max() < 1e-6
    assert set(decided["tier"]) == {RULES, LIGHT, DEEP}
    for tier, found in zip(decided["tier"], decided["reasons"], strict=True):
        codes = [reason["code"] for reason in found]
        assert codes[-2:] == ["base_rate", "other"]
        assert len(codes) == len(set(codes))
        assert ("card_sequence" in codes) <= (tier == DEEP)
        strengths = [reason["contribution"] for reason in found[:-2]]
        assert strengths == sorted(strengths, reverse=True)
        assert all(strength > 0 for strength in strengths)


def test_what_analysts_said_is_a_reason_of_its_own(
    fitted: FraudPipeline, matrix: np.ndarray, inferred: Inferred, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitted, "thresholds_", Thresholds(review=0.0, decline=2.0))
    shift = np.where(np.arange(ROWS) % 2, 1.5, 0.0)
    moved = replace(inferred, scores=shifted(inferred.scores, shift))
    after = fitted.decide(moved, matrix, {SHIFT: shift})["reasons"]
    sums = [sum(reason["contribution"] for reason in found) for found in after]
    assert np.abs(sums - logit(moved.scores)).max() < 1e-6
    for row in range(0, ROWS, 101):
        found = {reason["code"]: reason["contribution"] for reason in after[row]}
        assert found.pop("recent_labels", None) == (1.5 if row % 2 else None)


def test_a_payment_that_a_rule_declined_is_explained_by_the_rule(
    fitted: FraudPipeline, matrix: np.ndarray
) -> None:
    found = fitted.decide(fitted.infer(matrix[:1]), matrix[:1], {})
    assert found["decision"] != ["approve"]
    codes = [reason["code"] for reason in found["reasons"][0]]
    assert codes == ["device_of_frauds_far_away", "base_rate", "other"]
    assert found["reasons"][0][-1]["contribution"] == pytest.approx(0, abs=1e-9)
    assert "device_of_frauds_far_away@1" in found["rules"][0]


def test_what_the_rules_say_moves_a_deep_score_and_is_told_as_the_rules_own(
    fitted: FraudPipeline, matrix: np.ndarray
) -> None:
    """Rules count where the models see nothing, and only accusing ones are told."""
    from agora.systems.fraud.reasons import _deep_parts, _light_parts

    deep = replace(fitted.deep_, stack=Stack((0.5, 0.4, 0.3), -0.1))
    light = logit(fitted.parts(matrix)[LIGHT])
    raw = deep.network.raw(matrix)
    found = deep.log_odds(light, raw, matrix)
    hits = BOOK.hits(matrix)
    models = 0.5 * light + 0.4 * deep.calibration.log_odds(raw) - 0.1
    assert found - models == pytest.approx(0.3 * deep.said(hits), abs=1e-9)
    accused = (hits & BOOK.accuses).any(axis=1)
    silent = deep.said(np.zeros_like(hits[:1]))[0]
    assert accused.any()
    assert not accused.all()
    assert (deep.said(hits)[accused] > silent).all()

    parts = _light_parts(fitted.tiers_[1], BOOK, matrix)
    told = _deep_parts(deep, parts, matrix, found)
    own = told.contributions[:, : len(BOOK.rules)] - 0.5 * parts.contributions[:, : len(BOOK.rules)]
    assert own.sum(axis=1) == pytest.approx(0.3 * (deep.said(hits) - silent), abs=1e-9)
    assert not own[~(hits & BOOK.accuses)].any()
    assert told.base + told.contributions.sum(axis=1) == pytest.approx(found, abs=1e-6)


def test_what_the_tiers_leave_unlisted_is_small_when_little_is_left(
    fitted: FraudPipeline, matrix: np.ndarray
) -> None:
    """The parts of the light tier themselves add up: `other` is no rug to sweep under."""
    from agora.systems.fraud.reasons import _light_parts

    parts = _light_parts(fitted.tiers_[1], BOOK, matrix)
    light = logit(fitted.parts(matrix)[LIGHT])
    assert parts.base + parts.contributions.sum(axis=1) == pytest.approx(light, abs=1e-6)


def test_an_accused_payment_is_never_approved_by_a_rule(
    fitted: FraudPipeline, matrix: np.ndarray
) -> None:
    accused = matrix[100:101].copy()
    accused[0, INPUTS.index("amount")] = 1_000.0
    assert fitted.infer(matrix[100:101]).tiers.tolist() == [0]
    assert fitted.infer(accused).tiers[0] > 0


def test_without_the_light_model_the_rules_evidence_answers(
    fitted: FraudPipeline, matrix: np.ndarray
) -> None:
    from agora.cascade import steps

    run = steps(fitted.tiers, matrix[200:])
    verdict = next(run).run()
    run.send(verdict)
    with pytest.raises(StopIteration) as done:
        run.send(None)
    found: Inferred = done.value.value
    assert found.skipped == (LIGHT,)
    assert ((found.scores > 0) & (found.scores < 1)).all()
    strong = BOOK.scores(BOOK.hits(matrix[200:]))
    assert found.scores[strong.argmax()] > found.scores[strong.argmin()]


def test_the_band_is_the_top_of_what_is_open_and_as_large_as_wanted() -> None:
    light = np.linspace(0, 1, 1_000)
    is_open = np.arange(1_000) >= 500
    assert (light[is_open] >= band(light, is_open, 0.1)).sum() == pytest.approx(100, abs=1)
    assert band(light, is_open, 0.9) == light[500]
    assert band(light, is_open, 0.0) == np.inf


@pytest.mark.parametrize(
    ("frauds_within", "acts"), [(0, True), (3, True), (40, False)]
)  # fmt: skip
def test_a_rule_that_lets_too_many_frauds_through_goes_into_shadow_mode(
    frauds_within: int, acts: bool
) -> None:
    n = 2_000
    hits = np.zeros((n, len(BOOK.rules)), bool)
    labels = np.zeros(n)
    labels[:200] = 1
    place = [rule.code for rule in BOOK.rules].index("at_the_merchant")
    hits[200 - frauds_within : 1_200, place] = True
    found = measure(BOOK, hits, labels, np.full(n, 0.1), most_missed=0.1, least_precision=0.5)
    assert ("at_the_merchant" in found.scores) == acts
    assert found.notes["at_the_merchant"].startswith("shadow: ") != acts
    if acts:
        rows_hit = 1_000 + frauds_within
        expected = (frauds_within + 20 * 0.1) / (rows_hit + 20)
        assert found.scores["at_the_merchant"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("rows_hit", "frauds", "acts"), [(30, 28, True), (30, 12, False), (3, 3, False)]
)
def test_a_rule_declines_only_when_it_is_right_for_certain(
    rows_hit: int, frauds: int, acts: bool
) -> None:
    n = 2_000
    hits = np.zeros((n, len(BOOK.rules)), bool)
    labels = np.zeros(n)
    hits[:rows_hit, 0] = True
    labels[:frauds] = 1
    labels[-100:] = 1
    found = measure(BOOK, hits, labels, np.full(n, 0.5), most_missed=0.1, least_precision=0.5)
    assert (BOOK.rules[0].code in found.scores) == acts


def test_few_frauds_make_a_cascade_of_two_tiers() -> None:
    params = replace(Params.quick(), fewest_frauds=10_000)
    pipeline = FraudPipeline(params).fit(training_set(SYSTEM, 3_000))
    assert [tier.name for tier in pipeline.tiers] == [RULES, LIGHT]


def test_a_stack_of_other_parts_than_todays_is_refused(
    fitted: FraudPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fitted.deep_
    monkeypatch.setattr(fitted, "deep_", replace(fitted.deep_, stack=Stack((0.5, 0.5), 0.0)))
    fitted.save(tmp_path)
    with pytest.raises(PipelineError, match="stacked from other parts"):
        FraudPipeline.load(tmp_path)
