from __future__ import annotations

import numpy as np

from agora.ranking.interactions import histories, interactions, top


def test_of_repeated_interactions_the_largest_weight_stays() -> None:
    users, items = np.array([0, 1, 0, 0]), np.array([2, 0, 2, 1])
    found = interactions(users, items, (2, 3), np.array([1.0, 2.0, 5.0, 3.0]))
    assert found.toarray().tolist() == [[0, 3, 5], [2, 0, 0]]


def test_unknown_items_and_empty_lists_are_empty_rows() -> None:
    found = histories([np.array([1, -1]), np.empty(0, np.int64), np.array([9])], 3)
    assert found.toarray().tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_top_is_the_sorted_list_with_ties_by_code() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, (40, 30)).astype(float)
    seen = interactions(rng.integers(0, 40, 200), rng.integers(0, 30, 200), (40, 30))
    lists = top(scores, 8, seen)
    for row in range(40):
        left = [item for item in range(30) if seen[row, item] == 0]
        assert lists[row].tolist() == sorted(left, key=lambda item: (-scores[row, item], item))[:8]


def test_a_list_ends_where_nothing_is_left() -> None:
    everything = interactions(np.zeros(2, np.int64), np.array([0, 1]), (1, 3))
    assert top(np.ones((1, 3)), 3, everything).tolist() == [[2, -1, -1]]
    assert top(np.full((1, 2), -np.inf), 5).tolist() == [[-1, -1]]
