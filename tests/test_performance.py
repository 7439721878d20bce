"""Measured and estimated performance, against worlds whose truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agora.evaluation import Estimate
from agora.performance import Rows, calibration, decay, estimated, measured

Array = np.ndarray[Any, Any]


def world(seed: int, n: int = 5_000, *, lift: float = 1.0) -> Rows:
    """Rows whose labels are drawn from their scores, times `lift`."""
    rng = np.random.default_rng(seed)
    scores = 1 / (1 + np.exp(-rng.normal(-5, 2, n)))
    labels = (rng.random(n) < np.minimum(scores * lift, 1)).astype(float)
    amount = rng.exponential(50, n)
    flagged = scores > 0.2
    return Rows(
        scores=scores,
        weights=np.ones(n),
        flagged=flagged,
        groups=np.arange(n),
        labels=labels,
        costs=np.stack([np.where(flagged, 3.0, 0.0), np.where(flagged, 3.0, amount)]),
    )


def truth(rows: Rows) -> dict[str, float]:
    """The metrics by their definitions."""
    order = np.argsort(-rows.scores)
    hits = rows.labels[order]
    caught = rows.labels[rows.flagged].sum()
    assert rows.costs is not None
    return {
        "average_precision": float(
            (np.cumsum(hits) / np.arange(1, len(hits) + 1) * hits).sum() / hits.sum()
        ),
        "precision": float(caught / rows.flagged.sum()),
        "recall": float(caught / hits.sum()),
        "cost": float(np.where(rows.labels > 0, rows.costs[1], rows.costs[0]).mean()),
        "positives": float(hits.sum()),
    }


def test_measured_metrics_are_those_of_their_definitions() -> None:
    rows = world(1)
    expected = truth(rows)
    found = measured(rows)
    assert found.keys() == {"average_precision", "precision", "recall", "cost"}
    for name, estimate in found.items():
        assert estimate.value == pytest.approx(expected[name]), name
        assert estimate.low < estimate.value < estimate.high, name


def test_estimates_cover_what_calibrated_scores_come_to() -> None:
    worlds = [world(seed, 2_000) for seed in range(120)]
    covered: dict[str, list[bool]] = {}
    for seed, rows in enumerate(worlds):
        for name, estimate in estimated(rows, seed).items():
            covered.setdefault(name, []).append(estimate.low <= truth(rows)[name] <= estimate.high)
    assert covered.keys() == {"average_precision", "precision", "recall", "cost", "positives"}
    for name, hits in covered.items():
        # 95 % of 120 is 114; fewer than 106 happen by chance once in a thousand.
        assert sum(hits) >= 106, f"{name}: {sum(hits)} of {len(hits)}"


@pytest.mark.parametrize(("lift", "least", "most"), [(1.0, 8, 10), (2.0, 0, 0)])
def test_scores_that_promise_too_little_show_in_the_calibration(
    lift: float, least: int, most: int
) -> None:
    held = 0
    for seed in range(10):
        found = calibration(world(seed, lift=lift))
        expected = found["expected_positives"]
        held += expected.low <= found["observed_positives"].value <= expected.high
    assert least <= held <= most


def test_a_weighted_sample_measures_what_all_rows_measure() -> None:
    rows = world(4, 60_000)
    kept = (rows.scores > 0.02) | (rows.labels > 0)
    sampled = kept | (np.arange(60_000) % 10 == 0)
    weights = np.where(kept, 1.0, (~kept).sum() / (sampled & ~kept).sum())
    sample = Rows(
        scores=rows.scores, weights=weights, flagged=rows.flagged, groups=rows.groups,
        labels=rows.labels, costs=rows.costs,
    ).take(np.flatnonzero(sampled))  # fmt: skip
    assert len(sample.scores) < 25_000
    for of in (measured, estimated):
        small, whole = of(sample), of(rows)
        for name in ("average_precision", "precision", "recall", "cost"):
            assert small[name].value == pytest.approx(whole[name].value, rel=0.03), name
            width = whole[name].high - whole[name].low
            assert small[name].high - small[name].low == pytest.approx(width, rel=0.4), name


def test_unlabelled_rows_are_left_out_and_few_positives_measure_nothing() -> None:
    rows = world(5)
    hidden = rows.labels.copy()
    hidden[rows.scores < 0.001] = np.nan
    part = Rows(
        scores=rows.scores, weights=rows.weights, flagged=rows.flagged, groups=rows.groups,
        labels=hidden, costs=rows.costs,
    )  # fmt: skip
    known = rows.take(np.flatnonzero(~np.isnan(hidden)))
    assert measured(part)["cost"].value == pytest.approx(truth(known)["cost"])
    assert measured(rows.take(np.flatnonzero(rows.labels == 0))) == {}
    assert estimated(rows.take(np.array([], int))) == {}


def test_a_model_has_decayed_when_its_interval_lies_below_the_reports() -> None:
    rows = world(6, 20_000)
    now = measured(rows)["average_precision"]
    better = Estimate(now.high + 0.1, now.high + 0.05, now.high + 0.15)
    alike = Estimate(now.value, now.low, now.high)
    assert decay("average_precision", rows, better).decayed
    assert not decay("average_precision", rows, alike).decayed
    few = decay("average_precision", rows.take(np.arange(300)), better)
    assert not few.judged
    assert not few.decayed
