"""Customers with latent tastes and what they took: a small world whose structure can be learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agora.ranking.interactions import interactions

if TYPE_CHECKING:
    from agora.ranking.interactions import Sparse

Array = np.ndarray[Any, Any]


def taken(
    users: int = 300, items: int = 120, kinds: int = 6, each: int = 14, seed: int = 0
) -> tuple[Sparse, Sparse, Array]:
    """What was taken, what each user took besides (held out), and each item's kind."""
    rng = np.random.default_rng(seed)
    kind = np.arange(items) % kinds
    favourite = rng.integers(0, kinds, users)
    pull = rng.gumbel(size=(users, items)) + 3.0 * (kind[None] == favourite[:, None])
    pull += rng.normal(0.0, 0.7, items)
    chosen = np.argsort(-pull, axis=1)[:, : each + 4]
    order = rng.permuted(chosen, axis=1)
    rows = np.arange(users)
    learned, held = order[:, :each], order[:, each:]
    shape = (users, items)
    return (
        interactions(np.repeat(rows, each), learned.ravel(), shape),
        interactions(np.repeat(rows, 4), held.ravel(), shape),
        kind,
    )
