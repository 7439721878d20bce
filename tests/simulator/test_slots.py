from __future__ import annotations

import numpy as np
import pytest

from agora.simulator.slots import draw

DRAWS = 40_000


@pytest.mark.parametrize("products", [1, 2, 3, 11, 12])
def test_a_logged_propensity_is_how_often_the_product_is_drawn_there(products: int):
    length, size = 4, 3
    pool = np.full(length * size, -1)
    pool[:products] = np.arange(products)
    # Dealt in turn: short lists leave the last places empty.
    pools = np.repeat(pool.reshape(size, length).T[None], DRAWS, axis=0)
    scores = np.random.default_rng(1).normal(0, 1.5, (length, size))[None].repeat(DRAWS, axis=0)
    explores = np.array([False, False, True, False])
    shown, propensity = draw(np.random.default_rng(2), pools, scores, explores)
    for place in range(length):
        counts = np.bincount(shown[:, place] + 1, minlength=products + 1) / DRAWS
        assert counts[0] == (place >= products)
        for product in np.unique(shown[:, place][shown[:, place] >= 0]):
            here = propensity[shown[:, place] == product, place]
            assert np.ptp(here) < 1e-12
            assert counts[product + 1] == pytest.approx(here[0], abs=4 * (0.25 / DRAWS) ** 0.5)


def test_no_list_shows_a_product_twice():
    pools = np.arange(60).reshape(1, 12, 5).repeat(500, axis=0)
    scores = np.zeros((500, 12, 5))
    shown, _ = draw(np.random.default_rng(3), pools, scores, np.zeros(12, dtype=bool))
    assert (np.diff(np.sort(shown, axis=1), axis=1) > 0).all()
