"""The gate lets a clear lead pass and says in words what it refuses."""

from __future__ import annotations

import dataclasses

from agora.evaluation import CHAMPION, Estimate
from agora.gate import Gate
from tests.reports import report

GATE = Gate(baselines=("rules",), tolerance=0.02, at_most={"calibration_error": 0.1})


def test_a_clear_lead_passes_the_gate() -> None:
    result = GATE.check(report())
    assert result.passed
    assert not result.reasons
    assert any("lead over rules" in words for words in result.held)


def test_no_lead_over_a_baseline_fails_in_words() -> None:
    result = GATE.check(report(lead=0.5))
    assert not result.passed
    assert "average_precision: lead over rules" in result.reasons[0]


def test_a_model_much_worse_than_the_champion_fails_and_a_little_passes() -> None:
    worse = GATE.check(report(lead=1.0, champion=2.0))
    assert any("champion" in words for words in worse.reasons)
    level = dataclasses.replace(GATE, tolerance=0.5)
    assert level.check(report(lead=1.8, champion=2.0)).passed


def test_a_whole_that_is_worse_than_one_of_its_parts_fails() -> None:
    gate = dataclasses.replace(GATE, tolerance=1.0, parts=(CHAMPION, "none of its parts"))
    worse = gate.check(report(lead=1.0, champion=2.0))
    assert [words for words in worse.reasons if "its part champion" in words]
    assert gate.check(report(lead=2.0, champion=1.0)).passed
    equal = report(lead=2.0)
    same = dataclasses.replace(
        equal, differences={**equal.differences, CHAMPION: Estimate(0, 0, 0)}
    )
    assert gate.check(same).passed


def test_bad_calibration_fails() -> None:
    strict = dataclasses.replace(GATE, at_most={"calibration_error": 1e-6})
    assert "calibration_error" in strict.check(report()).reasons[0]


def test_an_empty_test_span_fails_and_says_so() -> None:
    result = GATE.check(report(n=0))
    assert not result.passed
    assert "0 rows" in result.reasons[0]


def test_a_missing_baseline_fails() -> None:
    other = dataclasses.replace(GATE, baselines=("rules", "logistic_regression"))
    assert "lacks the baseline logistic_regression" in other.check(report()).reasons[0]
