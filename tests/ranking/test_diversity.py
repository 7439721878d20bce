from __future__ import annotations

from time import process_time

import numpy as np
import pytest

from agora.ranking.diversity import Array, Rules, rerank
from agora.ranking.metrics import diversity

PLAIN = Rules(similarity=0.0, per_seller=None, fresh=0)


def candidates(seed: int, n: int = 200) -> tuple[Array, Array, Array, Array]:
    """Scores, unit vectors, sellers and freshness."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, 64)) + 2 * rng.normal(size=(8, 64))[rng.integers(0, 8, n)]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return rng.normal(size=n), vectors, rng.integers(0, 12, n), rng.random(n) < 0.1


def test_without_rules_the_order_is_that_of_the_scores() -> None:
    scores, vectors, _, _ = candidates(0)
    assert rerank(scores, 20, PLAIN, vectors=vectors).tolist() == np.argsort(-scores)[:20].tolist()


@pytest.mark.parametrize("seed", range(5))
def test_the_greedy_choice_is_maximal_marginal_relevance(seed: int) -> None:
    scores, vectors, _, _ = candidates(seed, 60)
    found = rerank(scores, 10, Rules(0.5, None, 0), vectors=vectors)
    chosen: list[int] = []
    for _ in range(10):
        left = [i for i in range(60) if i not in chosen]
        near = {i: max([0.0, *(float(vectors[i] @ vectors[j]) for j in chosen)]) for i in left}
        chosen.append(max(left, key=lambda i: scores[i] / scores.std() - 0.5 * near[i]))
    assert found.tolist() == chosen


def test_more_weight_on_likeness_gives_more_diverse_lists() -> None:
    found = {0.0: 0.0, 0.5: 0.0, 2.0: 0.0}
    for seed in range(6):
        scores, vectors, _, _ = candidates(seed)
        scores += 2 * vectors[:, 0] / vectors[:, 0].std()  # The best are alike.
        for share in found:
            rows = rerank(scores, 6, Rules(share, None, 0), vectors=vectors)
            found[share] += diversity(rows[None], vectors)[0]
    assert found[0.0] < found[0.5] < found[2.0]


@pytest.mark.parametrize("seed", range(5))
def test_a_seller_has_its_most_and_the_fresh_their_places(seed: int) -> None:
    scores, vectors, sellers, fresh = candidates(seed)
    found = rerank(scores, 20, Rules(0.3, 2, 3), vectors=vectors, sellers=sellers, fresh=fresh)
    assert len(found) == len(set(found.tolist())) == 20
    assert np.bincount(sellers[found]).max() <= 2
    assert fresh[found].sum() >= 3


def test_what_is_fresh_and_good_keeps_its_place() -> None:
    scores = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    first = rerank(scores, 3, Rules(0, None, 1), fresh=np.array([True, False, False, True, True]))
    last = rerank(scores, 3, Rules(0, None, 1), fresh=np.array([False, False, False, True, True]))
    none = rerank(scores, 3, Rules(0, None, 1), fresh=np.zeros(5, bool))
    assert (first.tolist(), last.tolist(), none.tolist()) == ([0, 1, 2], [0, 1, 3], [0, 1, 2])


def test_a_list_ends_where_nothing_may_be_shown() -> None:
    scores = np.array([1.0, -np.inf, 0.5])
    assert rerank(scores, 5, PLAIN).tolist() == [0, 2]
    assert rerank(scores, 5, Rules(0, 1, 0), sellers=np.zeros(3, int)).tolist() == [0]
    assert rerank(np.full(3, -np.inf), 5, Rules()).tolist() == []
    assert rerank(np.empty(0), 5, Rules(), sellers=np.empty(0, int)).tolist() == []


def test_fifty_of_two_hundred_cost_about_a_millisecond() -> None:
    """CPU time, as the machine may be busy."""
    scores, vectors, sellers, fresh = candidates(3)
    kept = vectors.astype(np.float32)
    started = process_time()
    for _ in range(20):
        rerank(scores, 50, Rules(), vectors=kept, sellers=sellers, fresh=fresh)
    assert (process_time() - started) / 20 < 0.004
