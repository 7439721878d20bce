"""Inverted lists (faiss): items by their nearest centre; a search visits the nearest lists only.

How many lists are visited is measured at the build, on the index's own vectors: the fewest that
give `RECALL` of the exact hits. (Jégou, Douze, Schmid: Product quantization for nearest neighbor
search, 2011, for the lists; no vector is compressed beyond 16 bits here.)
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from agora.retrieval.hits import Hits

if TYPE_CHECKING:
    from pathlib import Path

    from agora.retrieval.hits import Array

LISTS, CONFIGURATION = "lists.faiss", "lists.json"
# Share of the exact hits that a search has to find, with room above the .95 asked for.
RECALL, ASKED = 0.97, 100
# Vectors per centre that the centres are learned from.
SAMPLE = 40
# Lists visited, step by step.
STEPS = tuple(int(8 * 2 ** (step / 2)) for step in range(19))
BLOCK = 100_000


class Lists:
    """A faiss index over the rows of a matrix.

    Attributes:
        recall: Share of the exact hits that was found at the build.
    """

    def __init__(self, index: Any, items: int, visited: int, recall: float) -> None:
        self._index, self._items, self._visited, self.recall = index, items, visited, recall

    @classmethod
    def build(cls, matrix: Array, rows: Array, queries: Array | None, depth: int) -> Self:
        """Lists of these rows of a matrix.

        Args:
            matrix: Float32 (items, width).
            rows: Rows that can be found.
            queries: Vectors as will be asked with; a sample of the rows by default.
            depth: Hits that will be asked for: the first few lie in fewer lists.
        """
        import faiss

        width = matrix.shape[1]
        centres = int(np.clip(4 * np.sqrt(len(rows)), 16, 4_096))
        metric = faiss.METRIC_INNER_PRODUCT
        index = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlat(width, metric), width, centres, faiss.ScalarQuantizer.QT_fp16, metric
        )
        # Residuals would make every list's query another.
        index.by_residual = False
        random = np.random.default_rng(0)
        sample = random.choice(rows, min(len(rows), SAMPLE * centres), replace=False)
        index.train(matrix[np.sort(sample)])
        for start in range(0, len(rows), BLOCK):
            some = rows[start : start + BLOCK]
            index.add_with_ids(matrix[some], some)
        if queries is None or not len(queries):
            queries = matrix[random.choice(rows, min(len(rows), ASKED), replace=False)]
        asked = np.ascontiguousarray(queries[:ASKED], np.float32)
        visited, recall = _measured(index, matrix, rows, asked, depth)
        return cls(index, len(matrix), visited, recall)

    def search(self, query: Array, k: int, mask: Array | None) -> Hits:
        """The k best of the visited lists' rows that the mask lets through."""
        import faiss

        settings: dict[str, Any] = {"nprobe": self._visited}
        if mask is not None:
            share = np.count_nonzero(mask) / max(len(mask), 1)
            if not share:
                return Hits.none()
            bits = np.packbits(mask, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(mask), faiss.swig_ptr(bits))
            # Where fewer may be found, the k best of them lie further away.
            wider = min(int(self._visited / share), self._index.nlist)
            settings = {"nprobe": wider, "sel": selector}
        scores, rows = self._index.search(
            query[None], min(k, self._items), params=faiss.SearchParametersIVF(**settings)
        )
        found = rows[0] >= 0
        return Hits(rows[0][found], scores[0][found].astype(np.float64))

    def save(self, folder: Path) -> None:
        """Write two files."""
        import faiss

        faiss.write_index(self._index, str(folder / LISTS))
        said = {"items": self._items, "visited": self._visited, "recall": self.recall}
        (folder / CONFIGURATION).write_text(json.dumps(said))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        import faiss

        said = json.loads((folder / CONFIGURATION).read_text())
        index = faiss.read_index(str(folder / LISTS))
        return cls(index, said["items"], said["visited"], said["recall"])


def _measured(
    index: Any, matrix: Array, rows: Array, queries: Array, depth: int
) -> tuple[int, float]:
    """The fewest lists to visit, and the recall they give."""
    k = min(depth, len(rows))
    exact = _exact(matrix, rows, queries, k)
    visited, recall = index.nlist, 1.0
    for visited in [*(step for step in STEPS if step < index.nlist), index.nlist]:
        _, found = index.search(queries, k, params=_visiting(visited))
        recall = float(np.mean([np.isin(a, b).mean() for a, b in zip(exact, found, strict=True)]))
        if recall >= RECALL:
            break
    return visited, recall


def _visiting(lists: int) -> Any:
    import faiss

    settings: dict[str, Any] = {"nprobe": lists}
    return faiss.SearchParametersIVF(**settings)


def _exact(matrix: Array, rows: Array, queries: Array, k: int) -> Array:
    """The k best rows of each query, in blocks that fit the memory."""
    best_rows = np.zeros((len(queries), 0), np.int64)
    best_scores = np.zeros((len(queries), 0), np.float32)
    for start in range(0, len(rows), BLOCK):
        some = rows[start : start + BLOCK]
        scores = np.concatenate([best_scores, queries @ matrix[some].T], axis=1)
        all_rows = np.concatenate([best_rows, np.broadcast_to(some, (len(queries), len(some)))], 1)
        kept = np.argpartition(-scores, min(k, scores.shape[1]) - 1, axis=1)[:, :k]
        best_rows = np.take_along_axis(all_rows, kept, axis=1)
        best_scores = np.take_along_axis(scores, kept, axis=1)
    return best_rows
