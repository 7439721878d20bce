"""Showing what the ranker would not, now and then, with the chance of it known exactly.

Each open place explores by itself with the same chance e. The places that do share out, evenly and
without repetition, their own items and a pool from beside the list; the others show the list's own.
With m items in the pool, n open places and s of them exploring, each of the m + s items stands at
an exploring place with chance 1 / (m + s); s is binomial, so every chance is a sum of n terms. All
items of list and pool can stand at every open place: what another order would have earned can be
told from the log. All random numbers come from the request's id: a replay gives the same list.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from math import comb
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Explored:
    """The list that is shown.

    Attributes:
        rows: Candidates by place, (k,).
        propensities: Chance with which each stands where it stands, (k,).
        explored: Whether the place took part in the sharing, (k,).
    """

    rows: Array
    propensities: Array
    explored: Array


@dataclass(frozen=True, slots=True)
class Policy:
    """How much is explored.

    Attributes:
        epsilon: Chance that an open place explores.
        spared: First places that never do; nothing can be told of other orders there.
    """

    epsilon: float
    spared: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon <= 1:
            raise ValueError(f"epsilon: {self.epsilon} is no chance")

    def show(self, listed: Array, pool: Array, request_id: str) -> Explored:
        """The list with its explored places.

        Args:
            listed: Candidates in the ranker's order, (k,).
            pool: Candidates not in the list, (m,).
            request_id: What the random numbers come from.

        Raises:
            ValueError: The pool holds an item of the list.
        """
        if _among(pool, listed).any():
            raise ValueError("pool: an item that is listed is explored already")
        rng = np.random.default_rng(seed_of(request_id))
        place = np.arange(len(listed))
        explored = (rng.random(len(listed)) < self.epsilon) & (place >= self.spared)
        shared = rng.permutation(np.concatenate([listed[explored], pool]))
        rows = listed.copy()
        rows[explored] = shared[: explored.sum()]
        return Explored(rows, self.propensity(listed, pool, rows), explored)

    def propensity(self, listed: Array, pool: Array, items: Array) -> Array:
        """Chance that an item stands at each place, (k,).

        Args:
            listed: The ranker's order, (k,).
            pool: What is explored besides, (m,).
            items: Item asked about at each place, another policy's list perhaps, (k,).
        """
        places = len(listed)
        open_places = max(places - self.spared, 0)
        any_item, other_listed = _chances(self.epsilon, open_places, len(pool))
        open_to = np.arange(places) >= self.spared
        found = _among(items, pool) * any_item
        found = np.where(_among(items, listed[self.spared :]), other_listed, found)
        found = np.where(items == listed, 1 - self.epsilon + any_item, found)
        return np.asarray(np.where(open_to, found, items == listed), dtype=float)

    def table(self, places: int, pool: int) -> Array:
        """Chance of every item at every place, (places, places + pool): list first, then pool.

        Args:
            places: Length of the list.
            pool: Items that are explored besides.
        """
        found = np.eye(places, places + pool)
        start = min(self.spared, places)
        any_item, other_listed = _chances(self.epsilon, places - start, pool)
        found[start:, start:places] = other_listed
        found[start:, places:] = any_item
        at = np.arange(start, places)
        found[at, at] = 1 - self.epsilon + any_item
        return found


def drawn(weights: Array, count: int, seed: int) -> Array:
    """Rows drawn one after another without repetition, in proportion to weights, (<= count,).

    The largest of u^(1/w), u even between 0 and 1 (Efraimidis and Spirakis, 2006).

    Args:
        weights: 0 is never drawn, (n,).
        count: How many at most.
        seed: Of the draw, as `seed_of` makes it.
    """
    rows = np.flatnonzero(weights > 0)
    if not len(rows):
        return rows
    late = np.random.default_rng(seed).exponential(size=len(weights))[rows] / weights[rows]
    if count < len(rows):
        kept = np.argpartition(late, count)[:count]
        rows, late = rows[kept], late[kept]
    return rows[np.argsort(late, kind="stable")]


def _among(values: Array, others: Array) -> Array:
    """Whether each value is one of some others; both are few."""
    return np.asarray((values[:, None] == others).any(axis=1))


@lru_cache(4_096)
def _chances(epsilon: float, places: int, pool: int) -> tuple[float, float]:
    """Chance at an open place of its own or a pool's item by exploring; of another place's item."""

    def mean(certain: int) -> float:
        """Mean of 1 / (pool + s), s being the certain ones and those that explore besides."""
        others = places - certain
        return sum(
            comb(others, s) * epsilon**s * (1 - epsilon) ** (others - s) / (pool + certain + s)
            for s in range(others + 1)
        )

    return epsilon * mean(1), epsilon**2 * mean(2)


def seed_of(request_id: str) -> int:
    """A number that belongs to the request, the same in every process."""
    return int.from_bytes(blake2b(request_id.encode(), digest_size=8).digest(), "big")
