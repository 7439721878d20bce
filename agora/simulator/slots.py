"""Lists that are drawn by chance, with the exact probability of each product at each position.

Each position draws from a pool of its own, so positions are independent; then neighbours may
change places, so that the same product is seen at different positions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from agora.simulator.arrays import Bools, Floats, Ints

EXPLORED = 0.1
"""Share of each draw that does not look at the scores."""
SWAPPED = 0.15
"""Lists whose neighbours (1, 2), (3, 4) ... change places; as many change (2, 3), (4, 5) ..."""


def draw(
    random: np.random.Generator, pools: Ints, scores: Floats, explores: Bools
) -> tuple[Ints, Floats]:
    """One product for each position.

    Args:
        random: The stream.
        pools: (n, k, m) products, -1 for none; no product is in two pools of a row.
        scores: (n, k, m) log-odds.
        explores: (k,) positions at which every product of the pool is equally likely.

    Returns:
        (n, k) products, -1 at the end of short lists, and the probability of each at its position.
    """
    rows, length, _ = pools.shape
    there = pools >= 0
    best = np.where(there, scores, -np.inf).max(2, initial=-1e9, keepdims=True)
    odds = np.where(there, np.exp(np.minimum(scores - best, 0.0)), 0.0)
    even = there / np.maximum(there.sum(2, keepdims=True), 1)
    odds /= np.maximum(odds.sum(2, keepdims=True), 1e-300)
    share = np.where(explores, 1.0, EXPLORED)[:, None]
    odds = (1 - share) * odds + share * even
    running = np.cumsum(odds, axis=2)
    target = random.random((rows, length, 1)) * running[:, :, -1:]
    chosen = np.minimum((running <= target).sum(2, keepdims=True), pools.shape[2] - 1)
    product = np.take_along_axis(pools, chosen, 2)[:, :, 0]
    chance = np.take_along_axis(odds, chosen, 2)[:, :, 0]
    # Whether a pool is empty is no chance, so closing the gaps changes no probability.
    order = np.argsort(product < 0, axis=1, kind="stable")
    return _swapped(
        random, np.take_along_axis(product, order, 1), np.take_along_axis(chance, order, 1)
    )


def _swapped(random: np.random.Generator, product: Ints, chance: Floats) -> tuple[Ints, Floats]:
    rows, length = product.shape
    filled = (product >= 0).sum(1, keepdims=True)
    place = np.arange(length)
    drawn = random.random((rows, 1))
    target, stays = np.broadcast_to(place, product.shape), np.full(product.shape, 1 - 2 * SWAPPED)
    moves = np.zeros(product.shape, dtype=bool)
    for number in (0, 1):
        partner = np.where((place - number) % 2 == 0, place + 1, place - 1)
        can = (partner >= 0) & (partner < filled) & (place < filled)
        swaps = can & (drawn >= number * SWAPPED) & (drawn < (number + 1) * SWAPPED)
        target = np.where(swaps, partner, target)
        moves |= swaps
        stays = stays + np.where(can, 0.0, SWAPPED)
    inverse = np.argsort(target, axis=1, kind="stable")
    propensity = chance * np.where(moves, SWAPPED, stays)
    found = np.take_along_axis(product, inverse, 1)
    return found, np.where(found >= 0, np.take_along_axis(propensity, inverse, 1), np.nan)
