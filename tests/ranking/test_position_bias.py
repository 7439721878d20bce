from __future__ import annotations

import numpy as np
import pytest

from agora.ranking.position_bias import Array, from_exploration, regression_em, weights

PLACES = 6
TRUTH = 1 / np.arange(1.0, PLACES + 1) ** 0.8


def log(lists: int = 20_000, seed: int = 0) -> tuple[Array, Array, Array, Array]:
    """Places, clicks, products and propensities: better products mostly stand higher."""
    rng = np.random.default_rng(seed)
    wanted = rng.uniform(0.05, 0.6, 40)
    chosen = np.argsort(rng.random((lists, 40)), axis=1)[:, :PLACES]
    by_quality = np.argsort(-wanted[chosen] + rng.normal(0, 0.15, chosen.shape), axis=1)
    # One list in five is shown in an order by chance.
    random = rng.random(lists) < 0.2
    by_chance = np.argsort(rng.random(chosen.shape), axis=1)
    product = np.take_along_axis(chosen, np.where(random[:, None], by_chance, by_quality), axis=1)
    clicks = rng.random(product.shape) < wanted[product] * TRUTH
    place = np.tile(np.arange(1, PLACES + 1), (lists, 1))
    return place, clicks.astype(int), product, np.where(random, 1 / PLACES, np.nan)


def test_lists_in_an_order_by_chance_show_how_places_are_examined() -> None:
    place, clicks, _, propensity = log()
    explored = ~np.isnan(propensity)
    each = np.repeat(propensity[explored], PLACES)
    found = from_exploration(place[explored].ravel(), clicks[explored].ravel(), each, PLACES)
    np.testing.assert_allclose(found, TRUTH, atol=0.06)


def test_clicks_alone_tell_the_places_from_the_products() -> None:
    place, clicks, product, _ = log()
    found = regression_em(place.ravel(), clicks.ravel(), product.ravel(), PLACES, rounds=150)
    naive = clicks.mean(axis=0) / clicks[:, 0].mean()
    assert np.abs(found - TRUTH).max() < 0.5 * np.abs(naive - TRUTH).max()
    np.testing.assert_allclose(found, TRUTH, atol=0.08)


def test_weights_make_clicks_as_many_as_are_wanted() -> None:
    place, clicks, product, _ = log()
    weighted = clicks * weights(place, TRUTH)
    shown = np.bincount(product.ravel(), minlength=40)
    found = np.bincount(product.ravel(), weights=weighted.ravel(), minlength=40) / shown
    plain = np.bincount(product.ravel(), weights=clicks.ravel(), minlength=40) / shown
    wanted = np.random.default_rng(0).uniform(0.05, 0.6, 40)
    np.testing.assert_allclose(found, wanted, atol=0.05)
    assert np.abs(plain - wanted).max() > 0.15


def test_weights_are_bounded_and_far_places_count_as_the_last() -> None:
    found = weights(np.array([1, 2, 9]), np.array([1.0, 0.01]), most=5)
    assert found.tolist() == [1, 5, 5]


def test_a_place_that_was_never_shown_is_not_answered_for() -> None:
    place, clicks = np.array([1, 1, 3, 3]), np.array([1, 0, 1, 0])
    assert np.isnan(from_exploration(place, clicks, np.full(4, 0.5), 4)[[1, 3]]).all()
    assert np.isnan(regression_em(place, clicks, np.zeros(4, int), 4)[[1, 3]]).all()
    with pytest.raises(ValueError, match="first place"):
        from_exploration(place, clicks * (place > 1), np.full(4, 0.5), 4)
