"""New products: which they are, and which of them still lack first looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from agora.systems.recommendation.index import Index

Array = np.ndarray[Any, Any]

DAY = 86_400.0


def is_new(index: Index, rows: Array, at: float, days: float) -> Array:
    """Whether each product was listed within so many days before a time, (n,) bool.

    Args:
        index: The products.
        rows: Rows of the index, (n,).
        at: Epoch seconds.
        days: For which a product is new.
    """
    age = at - index.listed[rows]
    return np.asarray((age >= 0) & (age < days * DAY))


def lacks_looks(index: Index, rows: Array, first_looks: int) -> Array:
    """Whether each product lacks first looks, as of the index, (n,) bool.

    Args:
        index: The products.
        rows: Rows of the index, (n,).
        first_looks: Times that a product is shown before it must earn its places.
    """
    return np.asarray(index.looks[rows] < first_looks)
