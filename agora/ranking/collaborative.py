"""Models of taste in closed form: most popular, item to item, EASE whole and in factors.

Each is fitted on (users, items) and asked with histories, which need not be among those users.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from agora.ranking.interactions import load_arrays, save_arrays

if TYPE_CHECKING:
    from pathlib import Path

    from agora.ranking.interactions import Sparse

Array = np.ndarray[Any, Any]


class Popular:
    """The same for everyone: how many users took an item."""

    FILE = "popular.safetensors"

    def __init__(self) -> None:
        self.taken_ = np.empty(0)

    def fit(self, taken: Sparse) -> Self:
        """Count users."""
        self.taken_ = taken.getnnz(axis=0).astype(float)
        return self

    def scores(self, histories: Sparse) -> Array:
        """Number of users, (histories, items)."""
        return np.broadcast_to(self.taken_, histories.shape).copy()

    def save(self, folder: Path) -> None:
        """Write one file."""
        save_arrays(folder / self.FILE, {"taken": self.taken_}, {})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        made = cls()
        made.taken_ = load_arrays(folder / cls.FILE)[0]["taken"]
        return made


@dataclass(slots=True)
class ItemToItem:
    """Sum over the history of how often its items are taken together with each other item.

    The similarities of SAR (Microsoft's Smart Adaptive Recommendations).

    Attributes:
        similarity: `jaccard` (together over either), `lift` (together over what chance gives,
            which favours the rare), `cosine`, or plain `count`.
        neighbours: Most similar items kept per item; None keeps all.
        fewest: Pairs taken together by fewer users say nothing.
    """

    similarity: Literal["jaccard", "lift", "cosine", "count"] = "jaccard"
    neighbours: int | None = 200
    fewest: int = 1
    matrix_: Any = None

    FILE = "item_to_item.safetensors"

    def fit(self, taken: Sparse) -> Self:
        """Count pairs; (items, items), sparse."""
        from scipy.sparse import csr_matrix

        seen = (taken > 0).astype(float)
        pairs = (seen.T @ seen).tocoo()
        users = np.asarray(seen.sum(axis=0)).ravel()
        keep = (pairs.data >= self.fewest) & (pairs.row != pairs.col)
        row, col, together = pairs.row[keep], pairs.col[keep], pairs.data[keep]
        value = {
            "count": lambda: together,
            "lift": lambda: together * taken.shape[0] / (users[row] * users[col]),
            "cosine": lambda: together / np.sqrt(users[row] * users[col]),
            "jaccard": lambda: together / (users[row] + users[col] - together),
        }[self.similarity]()
        if self.neighbours is not None:
            order = np.lexsort((col, -value, row))
            row, col, value = row[order], col[order], value[order]
            position = np.arange(len(row)) - np.searchsorted(row, np.arange(len(users)))[row]
            near = position < self.neighbours
            row, col, value = row[near], col[near], value[near]
        self.matrix_ = csr_matrix((value, (row, col)), shape=(len(users), len(users)))
        return self

    def scores(self, histories: Sparse) -> Array:
        """(histories, items)."""
        return np.asarray((histories @ self.matrix_).todense())

    def save(self, folder: Path) -> None:
        """Write one file."""
        kept = {name: getattr(self.matrix_, name) for name in ("data", "indices", "indptr")}
        about = {"similarity": self.similarity, "neighbours": json.dumps(self.neighbours)}
        save_arrays(folder / self.FILE, kept, {**about, "fewest": json.dumps(self.fewest)})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        from scipy.sparse import csr_matrix

        kept, about = load_arrays(folder / cls.FILE)
        made = cls(
            about["similarity"],  # type: ignore[arg-type]
            json.loads(about["neighbours"]),
            json.loads(about["fewest"]),
        )
        items = len(kept["indptr"]) - 1
        made.matrix_ = csr_matrix(
            (kept["data"], kept["indices"], kept["indptr"]), shape=(items, items)
        )
        return made


@dataclass(slots=True)
class Ease:
    """Each item regressed on all others, without itself: EASE (Steck, 2019).

    One inversion of (items, items): seconds and 0.4 GB at 5,000 items; `FactoredEase` is for more.

    Attributes:
        ridge: L2 penalty.
        dropout: As if each input were left out at random in this share of cases: a penalty that
            grows with an item's popularity (EDLAE; Steck, 2020).
    """

    ridge: float = 400.0
    dropout: float = 0.0
    weights_: Array | None = None

    FILE = "ease.safetensors"

    def fit(self, taken: Sparse) -> Self:
        """Solve for (items, items)."""
        gram = np.asarray((taken.T @ taken).todense())
        own = gram.diagonal().copy()
        gram[np.diag_indices_from(gram)] += self.ridge + self.dropout / (1 - self.dropout) * own
        inverse = np.linalg.inv(gram)
        weights = inverse / -inverse.diagonal()
        np.fill_diagonal(weights, 0.0)
        self.weights_ = weights
        return self

    def scores(self, histories: Sparse) -> Array:
        """(histories, items)."""
        return np.asarray(histories @ self._fitted())

    def save(self, folder: Path) -> None:
        """Write one file, weights in float32."""
        about = {"ridge": repr(self.ridge), "dropout": repr(self.dropout)}
        kept = {"weights": self._fitted().astype(np.float32)}
        save_arrays(folder / self.FILE, kept, about)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        kept, about = load_arrays(folder / cls.FILE)
        return cls(float(about["ridge"]), float(about["dropout"]), kept["weights"])

    def _fitted(self) -> Array:
        if self.weights_ is None:
            raise ValueError("fit the model before asking it")
        return self.weights_


@dataclass(slots=True)
class FactoredEase:
    """EASE on the largest singular vectors of the interactions: for many items.

    With (V, s) of taken = U s V', the inverse that EASE needs is (I - V w V') / ridge, where
    w = s^2 / (s^2 + ridge), so the score of an item that is not in the history is the product of
    the history's vector x V w and the item's vector V_j / (1 - V_j w V_j'). At full rank these are
    EASE's own scores. Products of vectors are what an index of neighbours finds.

    Attributes:
        rank: Singular vectors kept.
        ridge: L2 penalty, as EASE's.
        seed: Of the random start of the solver.
    """

    rank: int = 256
    ridge: float = 400.0
    seed: int = 0
    inputs_: Array | None = None
    items_: Array | None = None

    FILE = "factored_ease.safetensors"

    def fit(self, taken: Sparse) -> Self:
        """Truncated singular value decomposition; memory (items, rank)."""
        from scipy.sparse.linalg import svds

        rank = min(self.rank, min(taken.shape))
        if rank == min(taken.shape):
            _, size, right = np.linalg.svd(np.asarray(taken.todense()), full_matrices=False)
        else:
            start = np.random.default_rng(self.seed).normal(size=min(taken.shape))
            _, size, right = svds(taken, k=rank, v0=start)
        shrunk = size**2 / (size**2 + self.ridge)
        self.inputs_ = right.T * shrunk
        own = ((right.T**2) * shrunk).sum(axis=1)
        self.items_ = right.T / (1 - own)[:, None]
        return self

    def vectors(self) -> Array:
        """One row per item, (items, rank) float32."""
        return self._fitted()[1].astype(np.float32)

    def ask(self, histories: Sparse) -> Array:
        """Vector of each history, (histories, rank)."""
        return np.asarray(histories @ self._fitted()[0])

    def scores(self, histories: Sparse) -> Array:
        """(histories, items); right for items that are not in the history."""
        return np.asarray(self.ask(histories) @ self._fitted()[1].T)

    def save(self, folder: Path) -> None:
        """Write one file, vectors in float32."""
        inputs, items = self._fitted()
        params = {"rank": self.rank, "ridge": self.ridge, "seed": self.seed}
        kept = {"inputs": inputs.astype(np.float32), "items": items.astype(np.float32)}
        save_arrays(folder / self.FILE, kept, {"params": json.dumps(params)})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        kept, about = load_arrays(folder / cls.FILE)
        return cls(**json.loads(about["params"]), inputs_=kept["inputs"], items_=kept["items"])

    def _fitted(self) -> tuple[Array, Array]:
        if self.inputs_ is None or self.items_ is None:
            raise ValueError("fit the model before asking it")
        return self.inputs_, self.items_
