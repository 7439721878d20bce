from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from agora.evaluation import (
    CANDIDATE,
    CHAMPION,
    Estimate,
    Gate,
    Report,
    Scored,
    bootstrap,
    compare,
)
from agora.metrics import average_precision, expected_calibration_error
from agora.plots import plots

METRICS = {
    "average_precision": average_precision,
    "calibration_error": expected_calibration_error,
}
GATE = Gate(baselines=("rules",), tolerance=0.02, at_most={"calibration_error": 0.1})


def report(
    n: int = 3_000, lead: float = 2.0, champion: float | None = None, seed: int = 0
) -> Report:
    """A candidate whose scores see the label `lead` standard deviations clearly."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.1).astype(float)

    def scored(clear: float) -> Scored:
        log_odds = clear * (rng.normal(size=n) + clear * labels) - np.log(9) - clear**2 / 2
        return Scored(1 / (1 + np.exp(-log_odds)), {"cost": labels})

    models = {CANDIDATE: scored(lead), "rules": scored(0.5)}
    if champion is not None:
        models[CHAMPION] = scored(champion)
    return compare(
        "fraud",
        models,
        labels,
        rng.integers(0, 300, n) if n else np.empty(0, int),
        METRICS,
        primary="average_precision",
        slices={"band": np.where(np.arange(n) % 3 == 0, "low", "high")},
        importance={"amount": 0.7, "hour": 0.3},
        spans={"test": ("2026-03-01", "2026-03-08")},
    )


def test_the_first_draw_takes_every_row_once_and_the_others_whole_groups() -> None:
    groups = np.repeat(np.arange(50), 4)
    draws = np.concatenate(list(bootstrap(groups)))
    assert (draws[0] == 1).all()
    assert (draws.sum(axis=1) == 200).all()
    by_group = draws.reshape(len(draws), 50, 4)
    assert (by_group == by_group[:, :, :1]).all()


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    hits = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        labels = (rng.random(400) < 0.3).astype(float)
        found = compare(
            "x", {CANDIDATE: Scored(rng.random(400), {"share": labels})}, labels, np.arange(400),
            {"average_precision": average_precision}, primary="average_precision",
            slices={}, importance={}, spans={},
        ).metrics[CANDIDATE]["share"]  # fmt: skip
        hits.append(found.low <= 0.3 <= found.high)
    assert np.mean(hits) >= 0.85


def test_equal_inputs_give_equal_reports() -> None:
    assert report() == report()


def test_a_report_survives_json() -> None:
    made = report(champion=1.5)
    assert Report.from_json(made.to_json()) == made


def test_the_markdown_names_every_model_metric_and_slice() -> None:
    text = report(champion=1.0).markdown()
    for name in ("candidate", "rules", "champion", "average_precision", "cost", "band low"):
        assert name in text


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


def test_rows_without_a_value_are_no_slice() -> None:
    found = report()
    assert {part.value for part in found.slices} == {"low", "high"}
    labels = (np.arange(400) % 4 == 0).astype(float)
    with_gaps = compare(
        "fraud", {CANDIDATE: Scored(labels)}, labels, np.arange(400), METRICS,
        primary="average_precision",
        slices={"scheme": np.where(np.arange(400) < 100, "one", "")}, importance={}, spans={},
    )  # fmt: skip
    assert [(part.name, part.value, part.rows) for part in with_gaps.slices] == [
        ("scheme", "one", 100)
    ]


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


@pytest.mark.parametrize("rows", [0, 3_000])
def test_plots_are_images(rows: int) -> None:
    images: dict[str, Any] = plots(report(n=rows))
    assert set(images) == {"precision_recall.png", "calibration.png", "importance.png"}
    assert all(image.startswith(b"\x89PNG") for image in images.values())
