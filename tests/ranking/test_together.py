from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from agora.ranking.interactions import histories
from agora.ranking.together import TakenTogether

if TYPE_CHECKING:
    from pathlib import Path


def test_a_pair_weighs_the_more_the_nearer_in_time() -> None:
    users = np.array([1, 0, 0, 0, 1])
    items = np.array([3, 0, 1, 2, 0])
    times = np.array([50.0, 0.0, 60.0, 120.0, 0.0])
    model = TakenTogether(60.0, power=0.0).fit(users, items, times, (2, 4))
    found = model.scores(histories([np.array([0])], 4))[0]
    np.testing.assert_allclose(found, [0, np.exp(-1), np.exp(-2), np.exp(-50 / 60)])


def test_what_takes_part_in_everything_is_lessened() -> None:
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(200), 4)
    # Item 0 is taken by everyone, then a pair that belongs together.
    pair = rng.integers(0, 5, 200)
    items = np.stack([np.zeros(200, int), 1 + 2 * pair, 2 + 2 * pair, rng.integers(11, 20, 200)], 1)
    times = np.tile([0.0, 10.0, 20.0, 30.0], 200)
    asked = histories([np.array([1])], 20)
    by_count, by_cosine = (
        TakenTogether(600.0, power).fit(users, items.ravel(), times, (200, 20)).scores(asked)[0]
        for power in (0.0, 0.5)
    )
    assert by_cosine.argmax() == 2
    assert by_cosine[0] / by_cosine[2] < 0.6 * by_count[0] / by_count[2]


def test_pairs_come_back_from_a_plain_file(tmp_path: Path) -> None:
    model = TakenTogether(30.0, 0.4, 7)
    with pytest.raises(ValueError, match="fit the model"):
        model.scores(histories([np.array([0])], 3))
    model.fit(np.zeros(3, int), np.arange(3), np.arange(3.0), (1, 3)).save(tmp_path)
    again = TakenTogether.load(tmp_path)
    assert (again.seconds, again.power, again.reach) == (30.0, 0.4, 7)
    np.testing.assert_array_equal(again.matrix_.toarray(), model.matrix_.toarray())
