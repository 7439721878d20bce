"""Inverted lists (faiss): items by their nearest centre; a search visits the nearest lists only.

Before that, vectors are turned and stretched so that directions count as much as queries tell them
apart (`agora.retrieval.turning`), and the lists' hits are more than are asked for: the caller
scores them again with the vectors as they are. How many lists are visited is measured at the
build: the fewest that give `RECALL` of the exact hits of queries as will be asked. (Jégou, Douze,
Schmid: Product quantization for nearest neighbor search, 2011, for the lists; no vector is
compressed beyond 16 bits here.)
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from agora.retrieval.turning import Turning

if TYPE_CHECKING:
    from pathlib import Path

    from agora.retrieval.hits import Array

LISTS, CONFIGURATION = "lists.faiss", "lists.json"
CENTRES, PLACE = "centres.npy", "place.npy"
# Share of the exact hits that a search has to find, with room above the .95 asked for.
RECALL, ASKED, ASKED_FILTERED = 0.975, 200, 50
# Hits per hit that is asked for: 16 bits tell close ones apart only so far.
SPARE = 1.5
# Rows looked at under a filter, over those without one: the least that finds `RECALL` in a slice of
# the items along their longest axis, which is the filter that lists like least.
WIDER, SLICE = (1.0, 2.0, 4.0, 8.0, 16.0), (0.3, 0.55)
# Rows of a sample that tells which lists a filter's rows are in: to count a million takes 10 ms.
COUNTED = 65_536
# Vectors per centre that the centres are learned from, and rounds of learning.
SAMPLE, ROUNDS = 40, 10
# Lists visited, step by step.
STEPS = tuple(dict.fromkeys(int(4 * 2 ** (step / 4)) for step in range(42)))
BLOCK = 50_000
# Scores that differ by less are equal: products are added up in another order.
EQUAL = 1e-6


@dataclass(frozen=True, slots=True)
class Lists:
    """A faiss index over the rows of a matrix.

    Attributes:
        index: Of the turned vectors.
        turning: How they are turned.
        centres: Of the lists, turned, float32 (lists, width).
        place: List of each row of the matrix, -1 where it is in none, int16 (items,).
        visited: Lists of a search without a filter.
        wider: Rows looked at under a filter, over those without one.
        recall: Share of the exact hits that was found at the build.
    """

    index: Any
    turning: Turning
    centres: Array
    place: Array
    visited: int
    wider: float
    recall: float

    @classmethod
    def build(cls, matrix: Array, rows: Array, queries: Array | None, depth: int) -> Self:
        """Lists of these rows of a matrix.

        Args:
            matrix: Float32 (items, width).
            rows: Rows that can be found, ascending.
            queries: Vectors as will be asked with; a sample of the rows by default.
            depth: Hits that will be asked for: the first few lie in fewer lists.
        """
        random = np.random.default_rng(0)
        if queries is None or not len(queries):
            queries = matrix[random.choice(rows, min(len(rows), ASKED), replace=False)]
        queries = np.ascontiguousarray(queries, np.float32)
        centres = int(np.clip(2 * np.sqrt(len(rows)), 16, 4_096))
        sample = np.sort(random.choice(rows, min(len(rows), SAMPLE * centres), replace=False))
        turning = Turning.of(matrix[sample], queries)
        found = _centres(turning.items(matrix[sample]), centres)
        index, place = _filled(matrix, rows, found, turning)
        made = cls(index, turning, found, place, 0, 1.0, 0.0)
        asked = queries[random.permutation(len(queries))[:ASKED]]
        visited, recall = _measured(made, matrix, rows, asked, depth)
        made = replace(made, visited=visited, recall=recall)
        return replace(made, wider=_wider(made, matrix, rows, asked[:ASKED_FILTERED], depth))

    def search(self, query: Array, k: int, mask: Array | None) -> Array:
        """Rows of the visited lists that the mask lets through: the k best are likely among them.

        Returns:
            At most `SPARE` times k, int64.
        """
        import faiss

        if mask is None:
            return self.found(query[None], k, self.visited)[0]
        if not mask.any():
            return np.empty(0, np.int64)
        turned = self.turning.queries(query[None])
        chosen, scores = self._with(mask, turned[0])
        bits = np.packbits(mask, bitorder="little")
        selector = faiss.IDSelectorBitmap(len(mask), faiss.swig_ptr(bits))
        settings: dict[str, Any] = {"nprobe": len(chosen), "sel": selector}
        params = faiss.SearchParametersIVF(**settings)
        most = min(int(SPARE * k), self.index.ntotal)
        found, rows = np.empty(most, np.float32), np.empty(most, np.int64)
        asked, given = (turned, most, chosen, scores), (found, rows)
        pointers = [each if isinstance(each, int) else faiss.swig_ptr(each) for each in asked]
        self.index.search_preassigned_c(1, *pointers, *map(faiss.swig_ptr, given), False, params)
        return np.asarray(rows[rows >= 0])

    def _with(self, mask: Array, turned: Array) -> tuple[Array, Array]:
        """Nearest lists that hold as many allowed rows as an unfiltered search looks at, and more.

        A filter may leave what lies far from the query, as dear products from a query for cheap
        ones: so rows are counted, not lists.
        """
        step = max(len(mask) // COUNTED, 1)
        of_list = self.place[::step][mask[::step]]
        held = step * np.bincount(of_list, minlength=self.index.nlist)
        scores = self.centres @ turned
        order = np.argsort(-scores)
        wanted = self.wider * self.visited / self.index.nlist * self.index.ntotal
        # A list of which the sample tells nothing may hold some: where a filter ends, the nearest.
        order = order[: int(np.searchsorted(np.cumsum(held[order]), wanted)) + 1]
        return order.astype(np.int64), scores[order].astype(np.float32)

    def found(self, queries: Array, k: int, visited: int) -> list[Array]:
        """Rows of each query's hits in so many lists."""
        import faiss

        settings: dict[str, Any] = {"nprobe": visited}
        params = faiss.SearchParametersIVF(**settings)
        turned = self.turning.queries(queries)
        most = min(int(SPARE * k), self.index.ntotal)
        rows = self.index.search(turned, most, params=params)[1]
        return [each[each >= 0] for each in rows]

    def save(self, folder: Path) -> None:
        """Write plain files."""
        import faiss

        faiss.write_index(self.index, str(folder / LISTS))
        self.turning.save(folder)
        np.save(folder / CENTRES, self.centres)
        np.save(folder / PLACE, self.place)
        said = {"visited": self.visited, "wider": self.wider, "recall": self.recall}
        (folder / CONFIGURATION).write_text(json.dumps(said))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        import faiss

        said = json.loads((folder / CONFIGURATION).read_text())
        index = faiss.read_index(str(folder / LISTS))
        centres, place = np.load(folder / CENTRES), np.load(folder / PLACE)
        return cls(index, Turning.load(folder), centres, place, **said)


def _centres(turned: Array, count: int) -> Array:
    """Centres of turned vectors (k-means)."""
    import faiss

    learned = faiss.Clustering(turned.shape[1], count)
    learned.niter, learned.max_points_per_centroid = ROUNDS, SAMPLE
    # A small catalogue has fewer per centre, which is no warning.
    learned.min_points_per_centroid = 1
    nearest = faiss.IndexFlatL2(turned.shape[1])
    learned.train(turned, nearest)
    return np.asarray(nearest.reconstruct_n(0, count))


def _filled(matrix: Array, rows: Array, centres: Array, turning: Turning) -> tuple[Any, Array]:
    """The lists, each row in that of its nearest centre; and the list of each row."""
    import faiss

    count, width = centres.shape
    # An item is where it is near; a query asks the lists whose centre has the greatest product.
    nearest, greatest = faiss.IndexFlatL2(width), faiss.IndexFlatIP(width)
    nearest.add(centres)
    greatest.add(centres)
    metric, half = faiss.METRIC_INNER_PRODUCT, faiss.ScalarQuantizer.QT_fp16
    # Residuals would make every list's query another.
    index = faiss.IndexIVFScalarQuantizer(greatest, width, count, half, metric, False)
    index.is_trained = True
    lists_of = np.full(len(matrix), -1, np.int16)
    for start in range(0, len(rows), BLOCK):
        some = np.ascontiguousarray(rows[start : start + BLOCK])
        turned = turning.items(matrix[some])
        place = np.ascontiguousarray(nearest.search(turned, 1)[1].ravel())
        parts = (turned, some, place)
        index.add_core(len(some), *(faiss.swig_ptr(part) for part in parts))
        lists_of[some] = place
    return index, lists_of


def _measured(
    lists: Lists, matrix: Array, rows: Array, queries: Array, depth: int
) -> tuple[int, float]:
    """The fewest lists to visit, and the recall they give."""
    needed = _needed(matrix, rows, queries, depth)
    visited, recall = lists.index.nlist, 1.0
    for visited in [*(step for step in STEPS if step < lists.index.nlist), lists.index.nlist]:
        found = lists.found(queries, depth, visited)
        recall = _share(found, matrix, queries, needed, min(depth, len(rows)))
        if recall >= RECALL:
            break
    return visited, recall


def _wider(lists: Lists, matrix: Array, rows: Array, queries: Array, depth: int) -> float:
    """How many more rows a search under a filter has to look at."""
    along = np.concatenate(
        [
            (matrix[rows[start : start + BLOCK]] - lists.turning.mean)
            @ lists.turning.of_items[:, 0]
            for start in range(0, len(rows), BLOCK)
        ]
    )
    low, high = np.quantile(along, SLICE)
    left = rows[(along >= low) & (along <= high)]
    mask = np.zeros(len(matrix), bool)
    mask[left] = True
    needed = _needed(matrix, left, queries, depth)
    wider = WIDER[0]
    for wider in WIDER:
        tried = replace(lists, wider=wider)
        found = [tried.search(query, depth, mask) for query in queries]
        if _share(found, matrix, queries, needed, min(depth, len(left))) >= RECALL:
            break
    return wider


def _share(found: list[Array], matrix: Array, queries: Array, needed: Array, k: int) -> float:
    """Mean share of the k best that is among the found."""
    shares = [
        min(np.count_nonzero(matrix[rows] @ query >= bound) / k, 1.0)
        for rows, query, bound in zip(found, queries, needed, strict=True)
    ]
    return float(np.mean(shares))


def _needed(matrix: Array, rows: Array, queries: Array, k: int) -> Array:
    """Score that each query's k-th best row has, in blocks that fit the memory, (n,).

    What the lists find is scored again: what reaches this is among the k best.
    """
    best = np.empty((len(queries), 0), np.float32)
    for start in range(0, len(rows), BLOCK):
        some = rows[start : start + BLOCK]
        scores = np.concatenate([best, queries @ matrix[some].T], axis=1)
        kept = min(k, scores.shape[1])
        best = np.partition(scores, scores.shape[1] - kept, axis=1)[:, -kept:]
    least = best.min(axis=1)
    return np.asarray(least - EQUAL * np.maximum(np.abs(least), 1.0))
