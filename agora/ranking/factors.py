"""Implicit matrix factorisation by alternating least squares (Hu, Koren, Volinsky, 2008).

What was not taken counts as weak dislike, what was taken as preference of a confidence that grows
with its weight. Users of like history length are solved together, by batches of small systems.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from agora.ranking.interactions import load_arrays, save_arrays

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agora.ranking.interactions import Sparse

Array = np.ndarray[Any, Any]

CELLS_AT_ONCE = 4_000_000  # Numbers in one batch of gathered factors: 32 MB.


@dataclass(slots=True)
class ImplicitALS:
    """Factors of users and items; a history is folded in by the users' own least squares.

    Attributes:
        rank: Numbers per user and item.
        ridge: L2 penalty, multiplied by the row's weight of evidence to the power `scaling`.
        confidence: How much more a taken item counts than one that was not.
        scaling: 0 penalises all alike; 1 as many times as there are entries (Rendle et al., 2021).
        rounds: Alternations.
        seed: Equal seeds give equal factors.
    """

    rank: int = 64
    ridge: float = 10.0
    confidence: float = 10.0
    scaling: float = 0.0
    rounds: int = 12
    seed: int = 0
    items_: Array | None = None

    FILE = "als.safetensors"

    def fit(self, taken: Sparse) -> Self:
        """Alternate; an earlier fit's factors of the same items are gone on from."""
        by_item = taken.T.tocsr()
        items = self.items_
        if items is None or items.shape != (taken.shape[1], self.rank):
            rng = np.random.default_rng(self.seed)
            items = rng.normal(0.0, 0.1, (taken.shape[1], self.rank))
        for _ in range(self.rounds):
            users = self._solve(taken, items)
            items = self._solve(by_item, users)
        self.items_ = items
        return self

    def vectors(self) -> Array:
        """One row per item, (items, rank) float32."""
        return self._fitted().astype(np.float32)

    def ask(self, histories: Sparse) -> Array:
        """Vector of each history, (histories, rank)."""
        return self._solve(histories, self._fitted())

    def scores(self, histories: Sparse) -> Array:
        """(histories, items)."""
        return np.asarray(self.ask(histories) @ self._fitted().T)

    def save(self, folder: Path) -> None:
        """Write one file, factors in float32."""
        params = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "items_"}
        save_arrays(folder / self.FILE, {"items": self.vectors()}, {"params": json.dumps(params)})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        kept, about = load_arrays(folder / cls.FILE)
        return cls(**json.loads(about["params"]), items_=kept["items"].astype(np.float64))

    def _solve(self, rows: Sparse, other: Array) -> Array:
        """Least squares of each row against fixed factors, (rows, rank)."""
        found = np.zeros((rows.shape[0], self.rank))
        gram = other.T @ other
        for chosen, items, weights in _batches(rows, self.rank):
            factors = other[items]  # (b, L, rank)
            extra = self.confidence * weights  # (b, L), 0 where the row has ended
            weighted = factors * extra[:, :, None]
            system = gram + weighted.transpose(0, 2, 1) @ factors
            evidence = (extra + (weights > 0)).sum(axis=1) ** self.scaling
            system[:, range(self.rank), range(self.rank)] += (self.ridge * evidence)[:, None]
            wanted = (factors * (extra + (weights > 0))[:, :, None]).sum(axis=1)
            found[chosen] = np.linalg.solve(system, wanted[:, :, None])[:, :, 0]
        return found

    def _fitted(self) -> Array:
        if self.items_ is None:
            raise ValueError("fit the model before asking it")
        return self.items_


def _batches(rows: Sparse, rank: int) -> Iterator[tuple[Array, Array, Array]]:
    """Rows of like length with their items and weights, padded to the longest: (b, L) each."""
    sizes = np.diff(rows.indptr)
    order = np.argsort(sizes, kind="stable")
    order = order[sizes[order] > 0]
    while len(order):
        # From the longest down: the first one's length bounds the batch.
        longest = int(sizes[order[-1]])
        count = max(1, min(len(order), CELLS_AT_ONCE // (max(longest, rank) * rank)))
        # Rows half as long would be mostly padding.
        chosen = order[-count:]
        chosen = chosen[sizes[chosen] * 2 >= longest]
        order = order[: len(order) - len(chosen)]
        place = rows.indptr[chosen][:, None] + np.arange(longest)
        there = np.arange(longest) < sizes[chosen][:, None]
        place = np.where(there, place, 0)
        yield chosen, rows.indices[place], np.where(there, rows.data[place], 0.0)
