"""Who took what, as sparse rows: the form in which models of taste learn and are asked.

A history is a row of weights over the items. What someone did a minute ago is one more entry in
their row: nothing has to be learned anew for the answer to change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from scipy.sparse import csr_matrix

Array = np.ndarray[Any, Any]
Sparse: TypeAlias = "csr_matrix"
"""(users, items) of float64; an entry is how much the user took the item."""


class Recommender(Protocol):
    """A model of taste over a fixed list of items."""

    def fit(self, taken: Sparse) -> Self:
        """Learn from (users, items)."""
        ...

    def scores(self, histories: Sparse) -> Array:
        """Score of every item for each history, larger is better, (histories, items)."""
        ...

    def save(self, folder: Path) -> None:
        """Write plain files."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        ...


def interactions(
    users: Array, items: Array, shape: tuple[int, int], weights: Array | None = None
) -> Sparse:
    """Rows of user, item and weight as a sparse matrix; of repeats the largest weight stays.

    Args:
        users: Code of each row's user, (n,).
        items: Code of its item, (n,).
        shape: Users and items there are.
        weights: Weight, 1 by default, above 0, (n,).
    """
    from scipy.sparse import csr_matrix

    worth = np.ones(len(users)) if weights is None else np.asarray(weights, float)
    order = np.lexsort((worth, items, users))
    keys = users[order].astype(np.int64) * shape[1] + items[order]
    last = np.append(keys[1:] != keys[:-1], True)[: len(keys)]
    chosen = order[last]
    return csr_matrix((worth[chosen], (users[chosen], items[chosen])), shape=shape)


def histories(lists: Sequence[Array], items: int, weights: Sequence[Array] | None = None) -> Sparse:
    """Lists of items as rows, one each; items that are not known (negative) are left out."""
    sizes = [len(found) for found in lists]
    users = np.repeat(np.arange(len(lists)), sizes)
    codes = np.concatenate([*lists, np.empty(0)]).astype(np.int64)
    worth = None if weights is None else np.concatenate([*weights, np.empty(0)])
    known = (codes >= 0) & (codes < items)
    return interactions(
        users[known], codes[known], (len(lists), items), None if worth is None else worth[known]
    )


def top(scores: Array, k: int, without: Sparse | None = None) -> Array:
    """The k best items of each row, best first, -1 where there are no more, (rows, k).

    Args:
        scores: (rows, items); -inf is never shown. Ties go to the smaller code.
        k: How many.
        without: Items not to show, as (rows, items).
    """
    found = np.array(scores, dtype=float)
    if without is not None:
        rows = np.repeat(np.arange(len(found)), np.diff(without.indptr))
        found[rows, without.indices] = -np.inf
    k = min(k, found.shape[1])
    # The k-th best value bounds what may be shown; a full sort of all items costs ten times more.
    bound = np.partition(found, -k, axis=1)[:, -k, None]
    rows, items = np.nonzero((found >= bound) & (found > -np.inf))
    order = np.lexsort((items, -found[rows, items], rows))
    rows, items = rows[order], items[order]
    position = np.arange(len(rows)) - np.searchsorted(rows, np.arange(len(found)))[rows]
    lists = np.full((len(found), k), -1, np.int64)
    shown = position < k
    lists[rows[shown], position[shown]] = items[shown]
    return lists


def save_arrays(path: Path, arrays: Mapping[str, Array], about: Mapping[str, str]) -> None:
    """Write arrays as one safetensors file with notes in its header."""
    from safetensors.numpy import save_file

    # What is not contiguous would be written in the order of memory.
    flat = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    save_file(flat, path, dict(about))


def load_arrays(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Read what `save_arrays` wrote."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return arrays, dict(file.metadata() or {})
