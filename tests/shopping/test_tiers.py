from __future__ import annotations

import numpy as np

from agora.shopping.tiers import best, places


def test_places_count_within_a_request_and_ties_go_by_the_item() -> None:
    matrix = np.array([[0, 7], [1, 5], [0, 3], [0, 9], [1, 4]], float)
    scores = np.array([1.0, 0.2, 1.0, 5.0, 0.3])
    assert places(matrix, scores).tolist() == [2, 1, 1, 0, 0]


def test_the_best_of_one_request_are_those_of_the_first_places() -> None:
    rng = np.random.default_rng(0)
    for size in (0, 1, 5, 40):
        matrix = np.column_stack([np.full(size, 3.0), rng.permutation(size)])
        scores = rng.integers(0, 4, size).astype(float)
        for kept in (0, 1, 5, 17, 50):
            assert (best(matrix, scores, kept) == (places(matrix, scores) < kept)).all()
