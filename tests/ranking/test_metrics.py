from __future__ import annotations

import math

import numpy as np
import pytest

from agora.ranking import metrics
from agora.ranking.metrics import Array, judge, judge_lists

GROUPS, ITEMS = 30, 25


def made(seed: int, graded: bool) -> tuple[Array, Array]:
    """Scores and gains of every item for every group; some groups have nothing relevant."""
    rng = np.random.default_rng(seed)
    gains = (rng.random((GROUPS, ITEMS)) < rng.random((GROUPS, 1)) * 0.4) * 1.0
    if graded:
        gains *= rng.integers(1, 4, gains.shape)
    gains[:2] = 0
    return rng.permuted(np.tile(np.arange(ITEMS), (GROUPS, 1)), axis=1).astype(float), gains


def oracle(name: str, order: list[int], gain: Array, k: int) -> float:
    """The definition, item by item."""
    relevant = sum(1 for value in gain if value > 0)
    if not relevant:
        return math.nan
    shown = order[:k]
    if name == "ndcg":
        found = sum(gain[item] / math.log2(p + 2) for p, item in enumerate(shown))
        best = sum(v / math.log2(p + 2) for p, v in enumerate(sorted(gain, reverse=True)[:k]))
        return float(found / best)
    hits = [p for p, item in enumerate(shown) if gain[item] > 0]
    if name == "precision":
        return len(hits) / k
    if name == "recall":
        return len(hits) / relevant
    if name == "average_precision":
        return sum((n + 1) / (p + 1) for n, p in enumerate(hits)) / relevant
    return 1 / (hits[0] + 1) if hits else 0.0


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("k", [1, 3, 10, 25])
@pytest.mark.parametrize(
    "name", ["ndcg", "precision", "recall", "average_precision", "reciprocal_rank"]
)
def test_a_metric_is_its_definition_for_rows_and_for_lists(name: str, k: int, graded: bool) -> None:
    scores, gains = made(k, graded)
    orders = np.argsort(-scores, axis=1)
    wanted = [oracle(name, list(orders[g]), gains[g], k) for g in range(GROUPS)]
    shuffled = np.random.default_rng(1).permutation(GROUPS * ITEMS)
    groups = np.repeat(np.arange(GROUPS), ITEMS)
    rows = judge(groups[shuffled], scores.ravel()[shuffled], gains.ravel()[shuffled], k)
    np.testing.assert_allclose(getattr(metrics, name)(rows, k), wanted)
    group, item = np.nonzero(gains)
    lists = judge_lists(orders[:, :k], group, item, gains[group, item])
    np.testing.assert_allclose(getattr(metrics, name)(lists, k), wanted)


def test_short_lists_and_items_without_a_judgement_earn_nothing() -> None:
    lists = np.array([[4, -1, -1], [9, 2, -1], [-1, -1, -1]])
    judged = judge_lists(lists, np.array([0, 1, 2]), np.array([4, 2, 7]))
    assert metrics.precision(judged, 3).tolist() == pytest.approx([1 / 3, 1 / 3, 0])
    assert metrics.reciprocal_rank(judged, 3).tolist() == [1, 0.5, 0]
    empty = np.empty(0, np.int64)
    assert np.isnan(metrics.ndcg(judge_lists(lists, empty, empty), 3)).all()


def test_trec_evals_worked_example_is_met() -> None:
    """Manning, Raghavan, Schütze (2008), chapter 8: relevant at 1, 3, 6, 9, 10 of five."""
    lists = np.arange(10)[None]
    judged = judge_lists(lists, np.zeros(5, np.int64), np.array([0, 2, 5, 8, 9]))
    expected = (1 + 2 / 3 + 3 / 6 + 4 / 9 + 5 / 10) / 5
    assert metrics.average_precision(judged, 10)[0] == pytest.approx(expected)


def test_diversity_is_the_mean_distance_of_pairs() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(20, 6))
    lists = np.array([[3, 7, 11, 2], [5, 6, -1, -1], [1, -1, -1, -1]])
    found = metrics.diversity(lists, vectors)
    for row, wanted in zip(lists[:2], found, strict=False):
        there = [vectors[i] / np.linalg.norm(vectors[i]) for i in row if i >= 0]
        pairs = [1 - a @ b for n, a in enumerate(there) for b in there[n + 1 :]]
        assert wanted == pytest.approx(np.mean(pairs))
    assert math.isnan(found[2])


def test_novelty_and_coverage_count_what_is_shown() -> None:
    lists = np.array([[0, 1], [1, -1]])
    found = metrics.novelty(lists, np.array([8, 2, 0]), users=8)
    assert found.tolist() == [1.0, 2.0]
    assert metrics.novelty(np.array([[2, -1]]), np.array([8, 2, 0]), 8).tolist() == [4.0]
    assert metrics.coverage(lists, 4) == 0.5
