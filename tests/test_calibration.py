from __future__ import annotations

import numpy as np
import pytest

from agora.calibration import Calibration, fit_calibration, sigmoid


def test_the_default_changes_nothing() -> None:
    z = np.linspace(-30, 30, 200)
    assert Calibration()(z) == pytest.approx(sigmoid(z))


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.4, 1.5), (2.5, -2.0)])
def test_it_undoes_a_distortion_of_the_log_odds(scale: float, shift: float) -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(-3, 1.5, 100_000)
    labels = (rng.random(100_000) < sigmoid(true)).astype(float)
    found = fit_calibration(scale * true + shift, labels)(scale * true + shift)
    assert np.abs(found - sigmoid(true)).mean() < 0.005


def test_the_order_of_scores_stays() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(0, 3, 500)
    labels = (rng.random(500) < sigmoid(z)).astype(float)
    found = fit_calibration(z, labels)(z)
    assert (np.argsort(found, kind="stable") == np.argsort(z, kind="stable")).all()


def test_scores_that_say_the_opposite_become_the_share() -> None:
    rng = np.random.default_rng(2)
    z = rng.normal(0, 2, 2_000)
    labels = (rng.random(2_000) < sigmoid(-z)).astype(float)
    calibration = fit_calibration(z, labels)
    assert calibration.low >= 0
    assert calibration.high >= 0
    assert calibration(z).mean() == pytest.approx(labels.mean(), abs=0.01)


def test_few_positives_bend_little() -> None:
    z = np.linspace(-8, -2, 400)
    labels = np.zeros(400)
    labels[[100, 399]] = 1
    calibration = fit_calibration(z, labels)
    assert 0 <= calibration.low < 2
    assert 0 <= calibration.high < 2


def test_one_class_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="both classes"):
        fit_calibration(np.zeros(10), np.zeros(10))
