"""A sample of what the spaces are asked with: vectors of real visits, by which lists are made.

They belong to the models, not to an index: the towers that made them are asked by them. No visit
can be told from its vectors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agora.systems.recommendation.tastes import SPACES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agora.pipeline import Columns
    from agora.systems.recommendation.index import Index
    from agora.systems.recommendation.tastes import Tastes

Array = np.ndarray[Any, Any]

SAMPLE = 1_000
FILE = "asked_{}.npy"


def sample_of(tastes: Tastes, columns: Columns, index: Index) -> dict[str, Array]:
    """Vectors that some of these requests ask with, by space float32 (<= SAMPLE, width)."""
    requests = len(columns["event_at"])
    rows = np.random.default_rng(0).permutation(requests)[:SAMPLE]
    asked = tastes.ask({name: column[rows] for name, column in columns.items()}, index)
    return {
        space: np.asarray(queries[np.isfinite(queries).all(axis=1)], np.float32)
        for space, queries in asked.queries.items()
    }


def save(asked: Mapping[str, Array], folder: Path) -> None:
    """Write one file per space."""
    for space, queries in asked.items():
        np.save(folder / FILE.format(space), queries)


def load(folder: Path) -> dict[str, Array]:
    """Read what `save` wrote; a model from before has none, and its lists ask by products."""
    files = {space: folder / FILE.format(space) for space in SPACES}
    return {space: np.load(file) for space, file in files.items() if file.exists()}
