from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agora.ranking.exploration import Policy
from agora.ranking.off_policy import Array, Estimate, Log, Model, estimates

ITEMS, K, SEGMENTS = 8, 3, 2
EXAMINED = np.array([1.0, 0.6, 0.4])
WANTED = np.random.default_rng(7).uniform(0.05, 0.7, (SEGMENTS, ITEMS))
LISTED = np.array([[0, 1, 2], [3, 4, 5]])
TARGET = np.argsort(-WANTED, axis=1)[:, :K]
EVERY = np.arange(ITEMS)


def chances(policy: Policy) -> Array:
    """Of each item at each place under the serving policy, (segments, places, items)."""
    return np.array(
        [
            np.stack(
                [
                    policy.propensity(listed, np.setdiff1d(EVERY, listed), np.full(K, item))
                    for item in EVERY
                ],
                axis=1,
            )
            for listed in LISTED
        ]
    )


CHANCES = chances(Policy(0.6))


def truth(lists: Array = TARGET) -> float:
    """Mean over segments, which are equally frequent, of clicks per session."""
    return float(np.mean([(WANTED[s, lists[s]] * EXAMINED).sum() for s in range(SEGMENTS)]))


def log(sessions: int, seed: int) -> tuple[Log, Array, Array]:
    """A log of lists by `Policy(0.6)`, its segments and items."""
    rng = np.random.default_rng(seed)
    segment = rng.integers(0, SEGMENTS, sessions)
    explored = rng.random((sessions, K)) < 0.6
    items = LISTED[segment].copy()
    # The policy's own rule for all sessions at once: exploring places share own items and pool.
    keys = rng.random((sessions, ITEMS))
    for s in range(SEGMENTS):
        stays = np.zeros((sessions, ITEMS), bool)
        stays[:, LISTED[s]] = ~explored
        keys[(segment == s)[:, None] & stays] = np.inf
    drawn = np.argsort(keys, axis=1)
    order = np.cumsum(explored, axis=1) - 1
    items = np.where(explored, np.take_along_axis(drawn, order.clip(0), axis=1), items)
    clicks = rng.random(items.shape) < WANTED[segment[:, None], items] * EXAMINED
    places = np.tile(np.arange(K), (sessions, 1))
    return (
        Log(
            np.repeat(np.arange(sessions), K),
            places.ravel() + 1,
            clicks.ravel().astype(float),
            CHANCES[segment[:, None], places, items].ravel(),
            (items == TARGET[segment]).ravel().astype(float),
        ),
        np.repeat(segment, K),
        items.ravel(),
    )


def model(found: Log, segment: Array, items: Array, scale: float = 1.0) -> Model:
    """The true rewards, or wrong ones by a factor."""
    place = found.positions - 1
    shown = scale * WANTED[segment, items] * EXAMINED[place]
    return Model(shown, scale * WANTED[segment, TARGET[segment, place]] * EXAMINED[place])


def covers(estimate: Estimate, value: float) -> bool:
    return estimate.low <= value <= estimate.high


def test_intervals_cover_the_truth_in_about_95_of_100_logs() -> None:
    hits = {"ips": 0, "snips": 0, "dr": 0}
    repeats = 120
    for seed in range(repeats):
        found, segment, items = log(600, seed)
        answer = estimates(found, model(found, segment, items, 0.7), draws=300, seed=seed)
        for name in hits:
            hits[name] += covers(answer[name], truth())
    for name, count in hits.items():
        # Measured on 300 logs: 0.94, 0.93 and 0.91; three standard errors of 120 repeats below.
        assert 0.85 <= count / repeats <= 0.995, name


def test_estimates_are_near_the_truth_where_the_log_is_long() -> None:
    found, segment, items = log(60_000, 1)
    answer = estimates(found, model(found, segment, items), draws=50)
    for name in ("ips", "snips", "dr"):
        assert answer[name].value == pytest.approx(truth(), rel=0.03)
    assert answer["logged"].value < 0.9 * truth()


def test_a_good_model_of_rewards_narrows_the_interval_and_a_bad_one_does_not_bias() -> None:
    found, segment, items = log(4_000, 2)
    plain = estimates(found, draws=300)["ips"]
    good, bad = (
        estimates(found, model(found, segment, items, scale), draws=300)["dr"]
        for scale in (1.0, 3.0)
    )
    assert good.high - good.low < plain.high - plain.low
    assert covers(good, truth())
    assert covers(bad, truth())


def test_the_serving_policy_is_worth_what_it_earned() -> None:
    found, _, _ = log(500, 3)
    same = replace(found, target=found.logged)
    answer = estimates(same, draws=20)
    earned = found.rewards.sum() / 500
    assert answer["ips"].value == pytest.approx(earned)
    assert answer["snips"].value == pytest.approx(earned)
    assert answer["ips"].effective == pytest.approx(len(found.rewards))


def test_equal_seeds_give_equal_intervals_and_small_samples_wide_ones() -> None:
    found, _, _ = log(800, 4)
    assert estimates(found, draws=100) == estimates(found, draws=100)
    few, _, _ = log(80, 4)
    wide, narrow = (estimates(part, draws=100)["ips"] for part in (few, found))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_a_row_that_could_not_be_shown_is_refused() -> None:
    found, _, _ = log(10, 0)
    with pytest.raises(ValueError, match="above 0"):
        replace(found, logged=np.zeros(30))
