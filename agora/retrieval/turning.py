"""Turns vectors so that near ones are near in what queries can see of them.

What an index of inner products loses by putting an item x at another place x' is q (x - x') for
the queries q: on average (x - x')' C (x - x') with C = E[q q']. Stretched by the root of C, plain
distance is that loss, so centres and rounding serve the directions that queries ask in. (The
reasoning of Guo et al.: Accelerating large-scale inference with anisotropic vector quantization,
2020, with the queries' own second moment in place of the item's direction.) Products stay what
they were but for one number per query: items are stretched by the root and queries by its inverse,
and the items' mean is taken away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

Array = np.ndarray[Any, Any]

FILE = "turning.npy"
# Half of the items' own: queries of another kind than those known find much too.
SHARE = 0.5
# Of an even spread: no direction is pressed to nothing.
FLOOR = 0.01


@dataclass(frozen=True, slots=True)
class Turning:
    """How items and queries are turned.

    Attributes:
        mean: Of the items, (width,) float32.
        of_items: (width, width) float32.
        of_queries: Its transposed inverse, (width, width) float32.
    """

    mean: Array
    of_items: Array
    of_queries: Array

    @classmethod
    def of(cls, items: Array, queries: Array) -> Self:
        """Learned from a sample.

        Args:
            items: (n, width).
            queries: (m, width).
        """
        width = items.shape[1]
        asked = SHARE * _moment(queries) + (1 - SHARE) * _moment(items)
        size, axes = np.linalg.eigh(asked + FLOOR * np.eye(width) / width)
        root = np.sqrt(np.maximum(size, FLOOR / width))
        mean = items.mean(axis=0, dtype=float)
        stretched = (items - mean) @ (axes * root)
        # Along its own axes what is small stays small, which 16 bits keep better.
        turned = np.linalg.eigh(np.atleast_2d(np.cov(stretched.T)))[1][:, ::-1]
        of_items, of_queries = (axes * root) @ turned, (axes / root) @ turned
        return cls(*(part.astype(np.float32) for part in (mean, of_items, of_queries)))

    def items(self, vectors: Array) -> Array:
        """Items as they stand in the lists, (n, width) float32."""
        return np.ascontiguousarray((vectors - self.mean) @ self.of_items)

    def queries(self, vectors: Array) -> Array:
        """Queries as the lists are asked, (n, width) float32."""
        return np.ascontiguousarray(vectors @ self.of_queries)

    def save(self, folder: Path) -> None:
        """Write one file."""
        np.save(folder / FILE, np.vstack([self.mean, self.of_items, self.of_queries]))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        kept = np.load(folder / FILE)
        width = kept.shape[1]
        return cls(kept[0], kept[1 : 1 + width], kept[1 + width :])


def _moment(vectors: Array) -> Array:
    """Second moment, (width, width), of trace 1."""
    found = vectors.T.astype(float) @ vectors
    return np.asarray(found / max(float(np.trace(found)), 1e-30))
