from __future__ import annotations

import itertools

import numpy as np
import pytest

from agora.systems.fraud.costs import Costs, Thresholds, cheapest_thresholds

COSTS = Costs()


def total(
    thresholds: Thresholds, scores: np.ndarray, fraud: np.ndarray, amount: np.ndarray
) -> float:
    levels = thresholds.levels(scores)
    return float(COSTS.of(fraud, amount)[levels, np.arange(len(levels))].sum())


@pytest.mark.parametrize("seed", range(8))
def test_no_other_pair_of_thresholds_is_cheaper(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fraud = (rng.random(60) < 0.3).astype(float)
    scores = np.round(np.clip(rng.random(60) * 0.7 + 0.3 * fraud, 0, 1), 1)
    amount = rng.exponential(40, 60)
    found = total(cheapest_thresholds(scores, fraud, amount, COSTS), scores, fraud, amount)
    levels = [*np.unique(scores), 2.0]
    cheapest = min(
        total(Thresholds(review, decline), scores, fraud, amount)
        for review, decline in itertools.product(levels, levels)
        if review <= decline
    )
    assert found == pytest.approx(cheapest)


def test_without_frauds_everything_is_approved() -> None:
    scores = np.linspace(0, 1, 50)
    thresholds = cheapest_thresholds(scores, np.zeros(50), np.full(50, 30.0), COSTS)
    assert (thresholds.levels(scores) == 0).all()


def test_a_sure_large_fraud_is_declined_and_an_unsure_one_reviewed() -> None:
    scores = np.repeat([0.0, 0.3, 0.99], 100)
    fraud = np.concatenate([np.zeros(100), np.tile([1, 0, 0, 0, 0], 20), np.ones(100)])
    thresholds = cheapest_thresholds(scores, fraud, np.full(300, 200.0), COSTS)
    assert thresholds.levels(np.array([0.0, 0.3, 0.99])).tolist() == [0, 1, 2]


def test_costs_by_hand() -> None:
    costs = COSTS.of(np.array([1.0, 0.0]), np.array([100.0, 100.0]))
    assert costs[:, 0] == pytest.approx([115, 3 + 11.5, 0])
    assert costs[:, 1] == pytest.approx([0, 3, 15])
