from __future__ import annotations

import numpy as np
import pytest

from agora.ranking.off_policy import Log, estimates
from agora.ranking.rewards import Rewards, cross_fitted

K = 4


def shown(sessions: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Sessions, places, scores and clicks, which follow both."""
    rng = np.random.default_rng(seed)
    places = np.tile(np.arange(1, K + 1), sessions)
    scores = rng.normal(3, 2, len(places))
    chance = 1 / (1 + np.exp(-(-1.5 + 0.6 * (scores - 3) / 2 - 0.8 * np.log(places))))
    clicks = (rng.random(len(places)) < chance).astype(float)
    return np.repeat(np.arange(sessions), K), places, scores, clicks


def test_the_model_finds_how_scores_and_places_earn() -> None:
    _, places, scores, clicks = shown(20_000)
    found = Rewards.fit(scores, places, clicks)
    np.testing.assert_allclose(found.weights, [-1.5, 0.6, -0.8], atol=0.06)
    assert found(scores, places).mean() == pytest.approx(clicks.mean(), rel=0.01)


@pytest.mark.parametrize("reward", [0.0, 1.0])
def test_a_log_without_any_contrast_gives_finite_chances(reward: float) -> None:
    _, places, scores, _ = shown(50)
    found = Rewards.fit(scores, places, np.full(len(places), reward))(scores, places)
    assert np.isfinite(found).all()
    assert np.abs(found - reward).max() < 0.1


def test_no_session_is_judged_by_what_it_taught() -> None:
    sessions, places, scores, clicks = shown(200)
    asked = scores[:, None]
    before = cross_fitted(sessions, places, clicks, scores, asked)
    turned = np.where(sessions % 2 == 0, 1 - clicks, clicks)
    after = cross_fitted(sessions, places, turned, scores, asked)
    even = sessions % 2 == 0
    np.testing.assert_array_equal(before.shown[even], after.shown[even])
    assert np.abs(before.shown[~even] - after.shown[~even]).min() > 0


def test_what_is_expected_is_weighed_by_the_chances() -> None:
    sessions, places, scores, clicks = shown(300)
    asked = np.column_stack([scores, scores + 1, scores - 50])
    sure = np.tile([1.0, 0.0, 0.0], (len(scores), 1))
    found = cross_fitted(sessions, places, clicks, scores, asked, sure)
    np.testing.assert_allclose(found.expected, found.shown)
    shared = cross_fitted(sessions, places, clicks, scores, asked, sure * 0.5 + [0, 0.5, 0])
    assert (shared.expected > found.expected).all()


def test_doubly_robust_is_narrower_where_the_log_holds_little_of_the_target() -> None:
    """Half of the places show an item of chance, the other half the target's."""
    rng = np.random.default_rng(5)
    sessions, places, asked, _ = shown(3_000)
    other = rng.normal(3, 2, len(asked))
    same = rng.random(len(asked)) < 0.2
    scores = np.where(same, asked, other)

    def chance(score: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-(-1 + 0.6 * (score - 3) / 2 - 0.8 * np.log(places))))

    clicks = (rng.random(len(places)) < chance(scores)).astype(float)
    log = Log(sessions, places, clicks, np.where(same, 0.2, 0.8), same.astype(float))
    model = cross_fitted(sessions, places, clicks, scores, asked[:, None])
    found = estimates(log, model, draws=200)
    truth = chance(asked).sum() / 3_000
    assert found["dr"].low < truth < found["dr"].high
    assert found["dr"].high - found["dr"].low < found["ips"].high - found["ips"].low
