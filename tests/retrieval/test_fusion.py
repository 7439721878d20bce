from __future__ import annotations

import numpy as np
import pytest

from agora.retrieval.fusion import min_max, reciprocal_rank
from agora.retrieval.hits import Hits


def hits(*pairs: tuple[int, float]) -> Hits:
    rows, scores = zip(*pairs, strict=True)
    return Hits(np.array(rows), np.array(scores, float))


LEFT = hits((1, 10.0), (2, 6.0), (3, 0.0))
RIGHT = hits((3, 0.9), (2, 0.8), (4, 0.4))


def test_min_max_adds_scores_brought_to_one_scale() -> None:
    found = min_max([LEFT, RIGHT], [0.5, 0.5], 10)
    expected = {1: 0.5, 2: 0.5 * 0.6 + 0.5 * 0.8, 3: 0.5, 4: 0.0}
    assert dict(zip(found.rows.tolist(), found.scores, strict=True)) == pytest.approx(expected)
    assert found.rows.tolist() == [2, 1, 3, 4]


def test_reciprocal_rank_looks_at_ranks_alone() -> None:
    found = reciprocal_rank([LEFT, RIGHT], [1.0, 1.0], 2)
    assert found.rows.tolist() == [3, 2]
    assert found.scores[0] == pytest.approx(1 / 61 + 1 / 63)


@pytest.mark.parametrize("fuse", [min_max, reciprocal_rank])
def test_a_list_that_is_empty_or_level_does_no_harm(fuse: object) -> None:
    assert len(fuse([Hits.none(), Hits.none()], [1, 1], 5)) == 0  # type: ignore[operator]
    level = hits((7, 2.0), (5, 2.0))
    found = fuse([level, Hits.none()], [1, 1], 5)  # type: ignore[operator]
    assert set(found.rows.tolist()) == {5, 7}
    assert np.isfinite(found.scores).all()


def test_the_best_are_in_order_and_equal_ones_by_row() -> None:
    found = Hits.best(np.array([9, 4, 7, 1]), np.array([1.0, 2.0, 2.0, 0.0]), 3)
    assert found.rows.tolist() == [4, 7, 9]
    assert len(Hits.best(np.array([1]), np.array([1.0]), 0)) == 0
