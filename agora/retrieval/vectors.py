"""Nearest neighbours by inner product.

Few items, or few that a filter leaves, are searched exactly; many through faiss' inverted lists,
whose number of visited lists is set when they are built: by the recall measured on their own
vectors. What is added or replaced later is searched exactly beside them and what is deleted is
masked, until the next build.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from agora.retrieval.hits import Hits, RetrievalError
from agora.retrieval.lists import Lists

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agora.retrieval.attributes import Selection
    from agora.retrieval.hits import Array

    Product = Callable[..., Array]

# Items below which a scan is as quick as the lists.
EXACT = 50_000
# Rows left by a filter below which comparing each is quicker than the lists.
GATHERED, AT_ONCE = 65_536, 4_096
PAGE = 4_096
# Hits that recall is measured at, unless it is said how many will be asked for.
DEPTH = 1_000
MATRIX, ALIVE, CONFIGURATION = "vectors.npy", "alive.npy", "vectors.json"
# No zip: the seal of a pipeline refuses what may be a pickle.
TAIL_ROWS, TAIL_VECTORS = "tail_rows.npy", "tail_vectors.npy"


@dataclass(frozen=True, slots=True)
class Tail:
    """Rows added or replaced since the build: int64 (n,) ascending, and their vectors."""

    rows: Array
    vectors: Array


@dataclass(frozen=True, slots=True)
class _Said:
    items: int
    width: int
    has_lists: bool


class Vectors:
    """Vectors by row; never changed in place: `changed` gives another that shares what it can.

    Args:
        matrix: Vectors at the build, float32 (items, width).
        alive: By row of the matrix whether it still counts, bool (items,).
        tail: What came since.
        lists: Inverted lists over the matrix; None searches it whole.
    """

    def __init__(self, matrix: Array, alive: Array, tail: Tail, lists: Lists | None) -> None:
        self._matrix, self._alive, self._tail, self._lists = matrix, alive, tail, lists
        self._all_alive = bool(alive.all())
        # Every row is in the matrix: the common case of the day.
        self._plain = self._all_alive and not len(tail.rows)

    @classmethod
    def build(
        cls,
        matrix: Array,
        *,
        present: Array | None = None,
        queries: Array | None = None,
        depth: int = DEPTH,
        listed: bool = True,
    ) -> Self:
        """Index vectors by row.

        Args:
            matrix: (items, width), finite.
            present: By row whether it has a vector, bool; all by default.
            queries: Vectors as will be asked with, to set how many lists are visited; items of the
                matrix by default.
            depth: Hits that will be asked for.
            listed: False makes no lists: every search compares all.

        Raises:
            ValueError: A vector that counts is not finite.
        """
        matrix = np.ascontiguousarray(matrix, np.float32)
        alive = np.ones(len(matrix), bool) if present is None else np.asarray(present, bool)
        if not np.isfinite(matrix[alive]).all():
            raise ValueError("vectors: NaN or infinite")
        nothing = Tail(np.empty(0, np.int64), np.empty((0, matrix.shape[1]), np.float32))
        lists = None
        if listed and np.count_nonzero(alive) > EXACT:
            lists = Lists.build(matrix, np.flatnonzero(alive), queries, depth)
        return cls(matrix, alive, nothing, lists)

    @property
    def width(self) -> int:
        """Length of a vector."""
        return int(self._matrix.shape[1])

    @property
    def recall(self) -> float:
        """Share of the exact hits that the lists found at the build; 1 where there are none."""
        return 1.0 if self._lists is None else self._lists.recall

    @property
    def is_listed(self) -> bool:
        """Whether there are lists: what is few is compared one by one."""
        return self._lists is not None

    @property
    def late(self) -> int:
        """Vectors that came since the build: each is compared in every search."""
        return len(self._tail.rows)

    def __len__(self) -> int:
        return int(np.count_nonzero(self._alive)) + len(self._tail.rows)

    def search(self, query: Array, k: int, selection: Selection | None = None) -> Hits:
        """The k rows whose vectors have the greatest inner product with the query's.

        Args:
            query: (width,).
            k: Most hits.
            selection: Rows that may be found; all by default.
        """
        query = np.ascontiguousarray(query, np.float32)
        if k <= 0 or not np.isfinite(query).all():
            return Hits.none()
        found = self._main(query, k, selection)
        if not len(self._tail.rows):
            return found
        # Little of what is newer comes among the k best.
        least = found.scores[-1] if len(found) == k else -np.inf
        parts = [found, self._newer(query, least, selection)]
        return Hits.best(
            np.concatenate([part.rows for part in parts]),
            np.concatenate([part.scores for part in parts]),
            k,
        )

    def scores(self, query: Array, rows: Array) -> Array:
        """Inner products of the query with given rows, float64 (n,); NaN where there is none.

        A row's does not depend on which others are asked for.
        """
        rows, query = np.asarray(rows, np.int64), np.ascontiguousarray(query, np.float32)
        if self._plain and int(rows.max(initial=-1)) < len(self._matrix):
            return self._products(rows, query, _row_by_row).astype(np.float64)
        return np.asarray(_row_by_row(self.of(rows), query), np.float64)

    def of(self, rows: Array) -> Array:
        """The vectors of rows, float32 (n, width); NaN where a row has none."""
        rows = np.asarray(rows, np.int64)
        items = len(self._matrix)
        beyond = int(rows.max(initial=-1)) >= items
        if self._plain and not beyond:
            # A third of the time that the matrix indexed by rows takes.
            return np.asarray(np.take(self._matrix, rows, axis=0, mode="wrap"))
        if items:
            place = np.minimum(rows, items - 1)
            found = self._matrix[place]
            found[(rows >= items) | ~self._alive[place]] = np.nan
        else:
            found = np.full((len(rows), self.width), np.nan, np.float32)
        if len(self._tail.rows):
            at = np.searchsorted(self._tail.rows, rows).clip(max=len(self._tail.rows) - 1)
            newer = self._tail.rows[at] == rows
            found[newer] = self._tail.vectors[at[newer]]
        return np.asarray(found)

    def changed(self, rows: Array, vectors: Array, deleted: Array | None = None) -> Self:
        """Another one, with vectors added, those of known rows replaced, and others deleted."""
        rows = np.asarray(rows, np.int64)
        vectors = np.asarray(vectors, np.float32).reshape(len(rows), self.width)
        if not np.isfinite(vectors).all():
            raise ValueError("vectors: NaN or infinite")
        gone = np.concatenate([rows, np.asarray([] if deleted is None else deleted, np.int64)])
        alive = self._alive.copy()
        alive[gone[gone < len(alive)]] = False
        kept = ~np.isin(self._tail.rows, gone)
        # Of a row that is given twice the last counts.
        _, last = np.unique(rows[::-1], return_index=True)
        last = len(rows) - 1 - last
        last = last[~np.isin(rows[last], gone[len(rows) :])]
        all_rows = np.concatenate([self._tail.rows[kept], rows[last]])
        all_vectors = np.concatenate([self._tail.vectors[kept], vectors[last]])
        order = np.argsort(all_rows)
        tail = Tail(all_rows[order], all_vectors[order])
        return type(self)(self._matrix, alive, tail, self._lists)

    def rebuilt(self, queries: Array | None = None, depth: int = DEPTH) -> Self:
        """Built again, with what came since inside and what was deleted left out."""
        items = max(len(self._matrix), int(self._tail.rows.max(initial=-1)) + 1)
        matrix = self.of(np.arange(items))
        present = np.isfinite(matrix[:, 0]) if self.width else np.zeros(items, bool)
        matrix[~present] = 0
        return self.build(matrix, present=present, queries=queries, depth=depth)

    def save(self, folder: Path) -> None:
        """Write plain files."""
        np.save(folder / MATRIX, self._matrix)
        np.save(folder / ALIVE, self._alive)
        np.save(folder / TAIL_ROWS, self._tail.rows)
        np.save(folder / TAIL_VECTORS, self._tail.vectors)
        if self._lists is not None:
            self._lists.save(folder)
        said = _Said(len(self._matrix), self.width, self._lists is not None)
        (folder / CONFIGURATION).write_text(json.dumps(asdict(said)))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; the matrix stays a file's memory, which can be given back.

        Raises:
            RetrievalError: A file is missing or torn.
        """
        try:
            said = _Said(**json.loads((folder / CONFIGURATION).read_text()))
            matrix = np.load(folder / MATRIX, mmap_mode="r")
            alive = np.load(folder / ALIVE)
            tail = Tail(np.load(folder / TAIL_ROWS), np.load(folder / TAIL_VECTORS))
            lists = Lists.load(folder) if said.has_lists else None
        except Exception as error:  # numpy, zip and faiss raise what they like on torn files
            raise RetrievalError(f"{folder}: the vectors cannot be read ({error})") from error
        if matrix.shape != (said.items, said.width) or len(alive) != said.items:
            raise RetrievalError(f"{folder}: the vectors are not those that were saved")
        found = np.asarray(matrix)
        # Each page once, in order: else the first searches wait for the disk, page by page.
        found[:: max(PAGE // max(found.strides[0], 1), 1), :1].sum()
        return cls(found, alive, tail, lists)

    def _main(self, query: Array, k: int, selection: Selection | None) -> Hits:
        """The k best of the matrix."""
        if selection is not None and selection.rows is not None:
            rows = selection.rows[selection.rows < len(self._matrix)]
            return self._best(rows[self._alive[rows]], query, k)
        if self._lists is None:
            mask = self._alive if selection is None else self._allowed(selection)
            return Hits.best(rows := np.flatnonzero(mask), (self._matrix @ query)[rows], k)
        if selection is None:
            # What was deleted since the build is little, and left out of what is found.
            rows = self._lists.search(query, k, None)
            return self._best(rows if self._all_alive else rows[self._alive[rows]], query, k)
        mask = self._allowed(selection)
        if np.count_nonzero(mask) <= GATHERED:
            return self._best(np.flatnonzero(mask), query, k)
        return self._best(self._lists.search(query, k, mask), query, k)

    def _best(self, rows: Array, query: Array, k: int) -> Hits:
        """The k best of some rows of the matrix, each compared."""
        return Hits.best(rows, self._products(rows, query, np.dot), k)

    def _products(self, rows: Array, query: Array, product: Product) -> Array:
        """Inner products of the query with rows of the matrix, float32 (n,)."""
        scores = np.empty(len(rows), np.float32)
        # A block that stays in the processor's cache: three times as quick as all at once.
        block = np.empty((min(len(rows), AT_ONCE), self.width), np.float32)
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            # Rows are within: "clip" only spares a copy.
            part = np.take(self._matrix, some, axis=0, out=block[: len(some)], mode="clip")
            product(part, query, out=scores[start : start + AT_ONCE])
        return scores

    def _newer(self, query: Array, least: float, selection: Selection | None) -> Hits:
        """All of the tail that may be found and scores at least so much, in no order."""
        scores = self._tail.vectors @ query
        good = np.flatnonzero(scores >= least)
        rows, scores = self._tail.rows[good], scores[good]
        if selection is not None and len(rows):
            kept = selection.allowed(int(rows.max()) + 1)[rows]
            rows, scores = rows[kept], scores[kept]
        return Hits(rows, scores.astype(np.float64))

    def _allowed(self, selection: Selection) -> Array:
        """By row of the matrix whether it may be found."""
        mask = selection.allowed(len(self._matrix))
        return mask if self._all_alive else np.asarray(mask & self._alive)


def _row_by_row(part: Array, query: Array, out: Array | None = None) -> Array:
    """A product of matrices adds a row up in another order by where it stands."""
    return np.asarray(np.einsum("ij,j->i", part, query, out=out))
