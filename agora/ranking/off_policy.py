"""What another way of making lists would have earned, from the log of the one that served.

Item-position model (Li et al., 2018): what a place earns depends on the item there and the place,
not on its neighbours, so each place is one logged choice. Three estimates: inverse propensity
weighting; self-normalised by place (Swaminathan and Joachims, 2015), which trades a small bias for
variance; doubly robust (Dudík et al., 2011), right if either the propensities or the model of
rewards is. Intervals come from drawing sessions again, as sessions are what is independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

DRAWS = 1_000
LEVEL = 0.95
BLOCK = 100  # Draws at once: bounds the memory.


@dataclass(frozen=True, slots=True)
class Log:
    """What was shown, one row per session, list and place.

    Attributes:
        sessions: Session of each row, codes from 0, (n,).
        positions: Place, from 1, (n,).
        rewards: What the row earned, (n,).
        logged: Chance with which the serving policy put the item there, above 0, (n,).
        target: Chance with which the policy asked about would have, (n,).
    """

    sessions: Array
    positions: Array
    rewards: Array
    logged: Array
    target: Array

    def __post_init__(self) -> None:
        if not (self.logged > 0).all():
            raise ValueError("logged: what was shown had a chance above 0")


@dataclass(frozen=True, slots=True)
class Model:
    """A model of rewards, for the doubly robust estimate.

    Attributes:
        shown: Expected reward of the item that was shown, (n,).
        expected: Expected reward of what the target policy would have shown at the row's place:
            the sum of its chances times the model's rewards, (n,).
    """

    shown: Array
    expected: Array


@dataclass(frozen=True, slots=True)
class Estimate:
    """Reward per session.

    Attributes:
        value: The estimate.
        low: Lower bound of its interval.
        high: Upper bound.
        effective: Rows that the weights are worth (Kish); few say little.
    """

    value: float
    low: float
    high: float
    effective: float


def estimates(
    log: Log,
    model: Model | None = None,
    *,
    most: float = np.inf,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Estimate]:
    """`logged` (what was really earned), `ips`, `snips` and, with a model, `dr`.

    Args:
        log: What was shown; every place of every list, whether it earned or not.
        model: Of rewards.
        most: Bound of a weight; below infinity it biases towards the logged policy.
        draws: Bootstrap draws of sessions.
        level: Of the intervals.
        seed: Of the draws.
    """
    weight = np.minimum(log.target / log.logged, most)
    effective = float(weight.sum() ** 2 / max((weight**2).sum(), 1e-300))
    sessions, places = int(log.sessions.max()) + 1, int(log.positions.max())
    cell = log.sessions * places + log.positions - 1

    def table(values: Array) -> Array:
        """Sums by session and place, (sessions, places)."""
        found = np.bincount(cell, weights=values, minlength=sessions * places)
        return np.asarray(found.reshape(sessions, places))

    rows, weighted = table(np.ones(len(weight))), table(weight)
    earned = table(weight * log.rewards)
    sums = {"logged": table(log.rewards).sum(axis=1), "ips": earned.sum(axis=1)}
    if model is not None:
        sums["dr"] = table(model.expected + weight * (log.rewards - model.shown)).sum(axis=1)
    drawn: dict[str, list[Array]] = {name: [] for name in (*sums, "snips")}
    for counts in _counts(sessions, draws, seed):
        size = counts.sum(axis=1)
        for name, values in sums.items():
            drawn[name].append(counts @ values / size)
        drawn["snips"].append(_self_normalised(counts, earned, weighted, rows) / size)
    pulls = {**sums, "snips": _pulls(earned, weighted, rows)}
    return {
        name: _estimate(np.concatenate(found), pulls[name] - pulls[name].mean(), level,
                        float(len(weight)) if name == "logged" else effective)
        for name, found in drawn.items()
    }  # fmt: skip


def _self_normalised(counts: Array, earned: Array, weighted: Array, rows: Array) -> Array:
    """Reward of each draw: by place, the weighted mean reward times how often it was shown."""
    total = counts @ weighted
    mean = np.divide(counts @ earned, total, out=np.zeros_like(total), where=total > 0)
    return np.asarray((mean * (counts @ rows)).sum(axis=1))


def _counts(sessions: int, draws: int, seed: int) -> list[Array]:
    """How often each session is drawn; the first draw is the log itself. Blocks (b, sessions)."""
    rng = np.random.default_rng(seed)
    blocks = [np.ones((1, sessions))]
    for start in range(0, draws, BLOCK):
        size = (min(BLOCK, draws - start), sessions)
        # Poisson draws: each session by itself, so that a log of any length comes in blocks.
        blocks.append(rng.poisson(1.0, size).astype(float))
    return blocks


def _pulls(earned: Array, weighted: Array, rows: Array) -> Array:
    """What each session adds to the self-normalised estimate, to first order, (sessions,)."""
    total, shown = weighted.sum(axis=0), rows.sum(axis=0)
    mean = np.divide(earned.sum(axis=0), total, out=np.zeros_like(total), where=total > 0)
    scale = np.divide(shown, total, out=np.zeros_like(total), where=total > 0)
    return np.asarray((earned - mean * weighted) @ scale + rows @ mean)


def _estimate(found: Array, pulls: Array, level: float, effective: float) -> Estimate:
    """The value and its interval, bias-corrected and accelerated (BCa; Efron, 1987).

    Weights are skewed: plain quantiles of the draws cover the truth too seldom.

    Args:
        found: The value, then those of the draws.
        pulls: What each session adds, centred.
        level: Of the interval.
        effective: Rows that the weights are worth.
    """
    value, draws = float(found[0]), found[1:]
    normal = NormalDist()
    below = ((draws < value).sum() + 0.5 * (draws == value).sum() + 0.5) / (len(draws) + 1)
    bias = normal.inv_cdf(float(below))
    spread = float((pulls**2).sum())
    skew = float((pulls**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    bounds = []
    for share in ((1 - level) / 2, (1 + level) / 2):
        point = bias + normal.inv_cdf(share)
        bounds.append(normal.cdf(bias + point / max(1 - skew * point, 1e-6)))
    low, high = np.quantile(draws, bounds)
    return Estimate(value, float(low), float(high), effective)
