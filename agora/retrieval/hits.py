"""What a search finds: rows of the index with a score each, best first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

Array = np.ndarray[Any, Any]


class RetrievalError(RuntimeError):
    """An index or encoder that cannot be used: torn, changed, or not there."""


@dataclass(frozen=True, slots=True)
class Hits:
    """Found rows, best first.

    Attributes:
        rows: Rows of the index, int64 (n,), none twice.
        scores: Larger is better, float64 (n,).
    """

    rows: Array
    scores: Array

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def none(cls) -> Self:
        """Nothing found."""
        return cls(np.empty(0, np.int64), np.empty(0))

    @classmethod
    def best(cls, rows: Array, scores: Array, k: int) -> Self:
        """The k best of scored rows; equal scores in the order of rows."""
        if len(rows) > k > 0:
            kept = np.argpartition(-scores, k - 1)[:k]
            rows, scores = rows[kept], scores[kept]
        order = np.lexsort((rows, -scores))[: max(k, 0)]
        return cls(rows[order].astype(np.int64), scores[order].astype(np.float64))

    def within(self, allowed: Array) -> Self:
        """The hits whose row is allowed.

        Args:
            allowed: By row of the index, bool (items,).
        """
        kept = allowed[self.rows]
        return type(self)(self.rows[kept], self.scores[kept])
