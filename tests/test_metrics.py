from __future__ import annotations

import numpy as np
import pytest

from agora.metrics import (
    auc_roc,
    average_precision,
    brier,
    calibration_bias,
    card_precision_at_k,
    expected_calibration_error,
    precision_recall,
    recall_at_precision,
    reliability,
)


def random_case(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores with many ties, and integer weights."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.15).astype(float)
    scores = np.round(rng.random(n) * 0.6 + labels * 0.3, 1 + seed % 3)
    return labels, scores, rng.integers(0, 4, n).astype(float)


@pytest.mark.parametrize("seed", range(6))
def test_metrics_equal_scikit_learn_with_ties_and_weights(seed: int) -> None:
    from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

    labels, scores, weights = random_case(seed)
    drawn = np.stack([np.ones(len(labels)), weights])
    for ours, theirs in (
        (average_precision, average_precision_score),
        (auc_roc, roc_auc_score),
        (brier, brier_score_loss),
    ):
        expected = [theirs(labels, scores), theirs(labels, scores, sample_weight=weights)]
        assert ours(labels, scores, drawn) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_a_weight_of_two_is_the_row_twice(seed: int) -> None:
    labels, scores, weights = random_case(seed)
    twice = np.repeat(np.arange(len(labels)), weights.astype(int))
    for metric in (average_precision, auc_roc, brier, recall_at_precision):
        once = metric(labels, scores, weights[None])
        assert metric(labels[twice], scores[twice]) == pytest.approx(once)


@pytest.mark.parametrize("precision", [0.2, 0.5, 0.9])
def test_recall_at_precision_is_the_best_over_all_thresholds(precision: float) -> None:
    from sklearn.metrics import precision_recall_curve

    labels, scores, _ = random_case(1)
    precisions, recalls, _ = precision_recall_curve(labels, scores)
    best = recalls[:-1][precisions[:-1] >= precision].max(initial=0.0)
    assert recall_at_precision(labels, scores, precision=precision)[0] == pytest.approx(best)


def test_metrics_without_positives_are_not_a_number() -> None:
    nothing, scores = np.zeros(5), np.linspace(0, 1, 5)
    assert np.isnan(average_precision(nothing, scores)).all()
    assert np.isnan(auc_roc(nothing, scores)).all()


def test_probabilities_that_mean_what_they_say_have_no_calibration_error() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(200_000)
    labels = (rng.random(200_000) < scores).astype(float)
    assert expected_calibration_error(labels, scores)[0] < 0.01
    assert expected_calibration_error(labels, scores / 2)[0] == pytest.approx(0.25, abs=0.01)
    assert calibration_bias(labels, scores / 2)[0] == pytest.approx(0.5, abs=0.01)
    for part in reliability(labels, scores):
        assert part["observed"] == pytest.approx(part["predicted"], abs=0.02)


def test_the_precision_recall_curve_runs_from_no_recall_to_all_of_it() -> None:
    labels, scores, _ = random_case(2)
    curve = precision_recall(labels, scores, points=50)
    assert len(curve["recall"]) <= 50
    assert curve["recall"] == sorted(curve["recall"])
    assert curve["recall"][-1] == 1
    assert curve["precision"][0] >= curve["precision"][-1] >= labels.mean()


def test_card_precision_by_hand() -> None:
    # Two days, two cards checked a day.
    days = np.array([0, 0, 0, 0, 1, 1, 1])
    cards = np.array([0, 0, 1, 2, 0, 1, 3])
    labels = np.array([0, 1, 0, 0, 1, 0, 1])
    scores = np.array([0.9, 0.1, 0.8, 0.7, 0.95, 0.6, 0.5])
    # Day 0 checks cards 0 (a fraud on that day) and 1: one of two. Card 0 is then out, so day 1
    # checks cards 1 and 3: one of two.
    assert card_precision_at_k(days, cards, labels, scores, k=2)[0] == pytest.approx(0.5)
    # With one check a day: card 0, then card 1.
    assert card_precision_at_k(days, cards, labels, scores, k=1)[0] == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(5))
def test_card_precision_equals_the_books_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, k = 600, 10
    days, cards = rng.integers(0, 5, n), rng.integers(0, 60, n)
    scores, labels = rng.random(n), (rng.random(n) < 0.1).astype(int)
    expected, found = [], set()
    for day in range(5):
        best: dict[int, list[float]] = {}
        for row in np.flatnonzero(days == day):
            if cards[row] not in found:
                top, fraud = best.get(cards[row], [-1.0, 0])
                best[cards[row]] = [max(top, scores[row]), max(fraud, labels[row])]
        checked = sorted(best, key=lambda card: -best[card][0])[:k]
        hits = {card for card in checked if best[card][1]}
        expected.append(len(hits) / k)
        found |= hits
    value = card_precision_at_k(days, cards, labels, scores, k)
    assert value[0] == pytest.approx(np.mean(expected))


def test_a_card_drawn_twice_is_checked_twice_and_one_not_drawn_never() -> None:
    days, cards = np.zeros(3, int), np.array([0, 1, 2])
    scores, labels = np.array([0.9, 0.8, 0.7]), np.array([1, 0, 1])
    draws = np.array([[1.0, 1, 1], [2, 0, 1], [0, 2, 1]])
    values = card_precision_at_k(days, cards, labels, scores, 2, draws)
    assert values == pytest.approx([0.5, 1.0, 0.0])
