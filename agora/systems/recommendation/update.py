"""An index changed where the catalogue differs from it: within the day little does.

Products keep their rows. What is gone keeps its row without a key, a stock and vectors, so nothing
finds it; what is new stands behind the last row. New and changed vectors are compared one by one
beside the lists (`Vectors.changed`), so many of them are better built in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from agora.shopping.catalogue import KEY, attributes_of
from agora.systems.recommendation.index import Index

if TYPE_CHECKING:
    from agora.retrieval.vectors import Vectors
    from agora.systems.recommendation.tastes import Tastes

Array = np.ndarray[Any, Any]

# Share of an index that may stand beside its lists: of a million 20,000, some 0.5 ms a search.
MOST_CHANGED = 0.02
# What the towers see of a product.
SEEN = ("title", "description", "category", "price")
NOTHING: dict[str, Any] = {"product_id": None, "stock": np.nan, KEY: np.nan}


@dataclass(frozen=True, slots=True)
class Changes:
    """How a catalogue differs from an index.

    Attributes:
        source: Row of the catalogue of each row of the index to be, -1 for what is gone, (n,).
        anew: Rows whose vectors must be made, ascending.
        gone: Rows that had vectors and are not in the catalogue.
    """

    source: Array
    anew: Array
    gone: Array

    @classmethod
    def between(cls, index: Index, frame: pl.DataFrame) -> Self:
        """What there is to do.

        Args:
            index: As it serves.
            frame: What `frame_of` made of the catalogue.
        """
        before, place = index.frame, index.rows_of(frame[KEY].to_numpy())
        kept, new = np.flatnonzero(place >= 0), np.flatnonzero(place < 0)
        source = np.full(len(before), -1)
        source[place[kept]] = kept
        was = before[place[kept]]
        differs = frame[kept].select(
            pl.any_horizontal(pl.col(name).ne_missing(was[name]) for name in SEEN)
        )
        gone = np.flatnonzero((source < 0) & np.isfinite(before[KEY].to_numpy()))
        changed = np.sort(place[kept][differs.to_series().to_numpy()])
        behind = len(before) + np.arange(len(new))
        return cls(np.concatenate([source, new]), np.concatenate([changed, behind]), gone)

    def applied(self, before: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
        """The catalogue's rows in the places of the index to be."""
        lost = np.flatnonzero(self.source < 0)
        source = self.source.copy()
        source[lost] = len(frame) + np.arange(len(lost))
        kept = before[lost].with_columns(
            pl.lit(value).cast(before.schema[name]).alias(name) for name, value in NOTHING.items()
        )
        return pl.concat([frame, kept])[source]


def updated(index: Index, frame: pl.DataFrame, tastes: Tastes) -> Index | None:
    """The index over another catalogue; None where that is better built anew.

    Args:
        index: As it serves, made with these tastes.
        frame: What `frame_of` made of the catalogue.
        tastes: Models that the vectors come from.
    """
    listed = any(vectors.is_listed for vectors in index.vectors.values())
    # Another schema is that of another release.
    if not listed or index.frame.schema != frame.schema:
        return None
    changes = Changes.between(index, frame)
    late = max(vectors.late for vectors in index.vectors.values())
    if late + len(changes.anew) + len(changes.gone) > MOST_CHANGED * len(index):
        return None
    whole = changes.applied(index.frame, frame)
    matrices = tastes.matrices(whole[changes.anew])
    vectors = {
        space: _changed(index.vectors[space], changes, *matrices[space]) for space in matrices
    }
    return Index(whole, vectors, attributes_of(whole))


def _changed(vectors: Vectors, changes: Changes, matrix: Array, present: Array | None) -> Vectors:
    """Vectors of one space; those that are what they were stay in their lists."""
    has = np.ones(len(matrix), bool) if present is None else present
    differs = has & ~np.isclose(vectors.of(changes.anew), matrix, atol=1e-6).all(axis=1)
    lost = np.concatenate([changes.gone, changes.anew[~has]])
    return vectors.changed(changes.anew[differs], matrix[differs], deleted=lost)
