"""Items that are taken within minutes of each other: what a session says beyond a history.

Each pair that a user took within some time counts the more the nearer the two are; the sums are
lessened by how much each item takes part in pairs at all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from agora.ranking.interactions import load_arrays, save_arrays

if TYPE_CHECKING:
    from pathlib import Path

    from agora.ranking.interactions import Sparse

Array = np.ndarray[Any, Any]


@dataclass(slots=True)
class TakenTogether:
    """Sum over a history of its items' pulls on each other item.

    Attributes:
        seconds: Time over which a pair's count falls to a third.
        power: Share of an item's own activity that is taken out; 0.5 is the cosine's.
        reach: Steps of the user's sequence that a pair may be apart: bounds time and memory.
    """

    seconds: float = 600.0
    power: float = 0.5
    reach: int = 50
    matrix_: Any = None

    FILE = "taken_together.safetensors"

    def fit(self, users: Array, items: Array, times: Array, shape: tuple[int, int]) -> Self:
        """Count pairs in each user's order of time.

        Args:
            users: Code of each row's user, (n,).
            items: Code of its item, (n,).
            times: When, in seconds, (n,).
            shape: Users and items there are.
        """
        from scipy.sparse import csr_matrix

        order = np.lexsort((items, times, users))
        users, items, times = users[order], items[order], times[order]
        size = (shape[1], shape[1])
        pairs = csr_matrix(size)
        for lag in range(1, min(self.reach, len(users) - 1) + 1):
            near = (users[lag:] == users[:-lag]) & (items[lag:] != items[:-lag])
            apart = (times[lag:] - times[:-lag])[near]
            weight = np.exp(-apart / self.seconds)
            # What weighs nothing would only fill the matrix.
            kept = weight > 1e-3
            row, col = items[lag:][near][kept], items[:-lag][near][kept]
            pairs = pairs + csr_matrix((weight[kept], (row, col)), shape=size)
        pairs = (pairs + pairs.T).tocsr()
        activity = np.maximum(np.asarray(pairs.sum(axis=0)).ravel(), 1.0) ** -self.power
        row = np.repeat(np.arange(shape[1]), np.diff(pairs.indptr))
        pairs.data *= activity[row] * activity[pairs.indices]
        self.matrix_ = pairs
        return self

    def scores(self, histories: Sparse) -> Array:
        """(histories, items)."""
        if self.matrix_ is None:
            raise ValueError("fit the model before asking it")
        return np.asarray((histories @ self.matrix_).todense())

    def save(self, folder: Path) -> None:
        """Write one file."""
        kept = {name: getattr(self.matrix_, name) for name in ("data", "indices", "indptr")}
        params = {"seconds": self.seconds, "power": self.power, "reach": self.reach}
        save_arrays(folder / self.FILE, kept, {"params": json.dumps(params)})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        from scipy.sparse import csr_matrix

        kept, about = load_arrays(folder / cls.FILE)
        items = len(kept["indptr"]) - 1
        parts = (kept["data"], kept["indices"], kept["indptr"])
        return cls(**json.loads(about["params"]), matrix_=csr_matrix(parts, shape=(items, items)))
