from __future__ import annotations

import numpy as np

from agora.shopping.tiers import places


def test_places_count_within_a_request_and_ties_go_by_the_item() -> None:
    matrix = np.array([[0, 7], [1, 5], [0, 3], [0, 9], [1, 4]], float)
    scores = np.array([1.0, 0.2, 1.0, 5.0, 0.3])
    assert places(matrix, scores).tolist() == [2, 1, 1, 0, 0]
