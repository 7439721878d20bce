"""Which of a query's words each text holds: stems by row, as numbers.

BM25 adds words up; a ranker also wants to know how much of the query a text covers. One integer a
word and row, compared for all candidates at once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from agora.retrieval.words import Analyzer

Array = np.ndarray[Any, Any]

CODES, STEMS = "codes.npy", "stems.json"
NOTHING = -1
NO_ROWS = np.empty(0, np.int64)
# Texts that are cut into words at once.
BLOCK = 100_000


class Coverage:
    """Stems of texts by row.

    Args:
        codes: Distinct stems of each row, `NOTHING` where there are no more, int32 (n, longest).
        documents: Rows that have each stem, in the order of the codes.
    """

    def __init__(self, codes: Array, documents: dict[str, int]) -> None:
        self.codes, self._documents = codes, documents
        self._code = {stem: code for code, stem in enumerate(documents)}
        # One where there are none: what is divided by it is nought then.
        self.lengths = np.maximum((codes >= 0).sum(axis=1), 1).astype(np.int32)
        held = np.fromiter(documents.values(), float, len(documents))
        self._weight = np.log1p(len(codes) / (1.0 + held))
        self._unknown = float(np.log1p(len(codes)))

    @classmethod
    def of(cls, analyzer: Analyzer, texts: Sequence[str] | pl.Series, longest: int) -> Self:
        """Stems of texts, of each the first so many distinct words.

        Args:
            analyzer: As the index of words has it.
            texts: One per row.
            longest: Words that are kept of each.
        """
        column = pl.Series("text", texts, dtype=pl.String)
        codes = np.full((len(column), longest), NOTHING, np.int32)
        code: dict[str, int] = {}
        cut: dict[str, str] = {}
        # Of all texts at once the words would need many times the room of what is kept.
        for start in range(0, len(column), BLOCK):
            held = _stems_of(analyzer, column[start : start + BLOCK], longest, cut)
            for stem in held["stem"].unique().sort().to_list():
                code.setdefault(stem, len(code))
            if len(held):
                found = held["stem"].replace_strict(code, return_dtype=pl.Int32)
                codes[start + held["row"].to_numpy(), held["place"].to_numpy()] = found.to_numpy()
        counts = np.bincount(codes[codes >= 0], minlength=len(code))
        return cls(codes, dict(zip(code, counts.tolist(), strict=True)))

    def __len__(self) -> int:
        return len(self.codes)

    def changed(self, analyzer: Analyzer, emptied: Array, texts: Sequence[str] | pl.Series) -> Self:
        """Another one, in which some rows hold nothing and texts came after the last.

        Args:
            analyzer: As it was made with.
            emptied: Rows.
            texts: One per new row.
        """
        longest = self.codes.shape[1]
        added = self.of(analyzer, texts, longest)
        names, counts = list(self._documents), np.fromiter(self._documents.values(), np.int64)
        known = {name: code for code, name in enumerate([*names, *added._code.keys() - self._code])}
        place = np.array([known[name] for name in added._documents] or [0], np.int32)
        codes = np.concatenate(
            [self.codes, np.where(added.codes >= 0, place[added.codes], NOTHING).astype(np.int32)]
        )
        lost = codes[emptied]
        held = np.zeros(len(known), np.int64)
        held[: len(counts)] = counts - np.bincount(lost[lost >= 0], minlength=len(counts))
        held[place[: len(added._documents)]] += np.fromiter(added._documents.values(), np.int64)
        codes[emptied] = NOTHING
        return type(self)(codes, dict(zip(known, held.tolist(), strict=True)))

    def codes_of(self, stems: Collection[str]) -> Array:
        """Codes of the stems that any row has, int32."""
        found = [self._code[stem] for stem in stems if stem in self._code]
        return np.array(found, np.int32)

    def weight(self, codes: Array) -> float:
        """How much the rarest of some stems tells; no codes: a word that no row has."""
        if len(codes) == 1:
            return float(self._weight[codes[0]])
        return float(self._weight[codes].max()) if len(codes) else self._unknown

    def held(self, rows: Array, groups: Sequence[Array]) -> Array:
        """Whether each row has a stem of each group, bool (rows, groups)."""
        found = np.zeros((len(rows), len(groups)), bool)
        for place, holders in enumerate(self._holders(rows, groups)):
            found[holders, place] = True
        return found

    def covered(self, rows: Array, groups: Sequence[Array]) -> tuple[Array, Array]:
        """Share of the groups' weight that each row has, and share of the row's own words.

        Args:
            rows: Which, (m,).
            groups: Per word of a query the codes that stand for it.

        Returns:
            Two arrays (m,), from 0 to 1.
        """
        share, count = np.zeros(len(rows)), np.zeros(len(rows))
        if not groups:
            return share, count
        total = 0.0
        for group, holders in zip(groups, self._holders(rows, groups), strict=True):
            weight = self.weight(group)
            share[holders] += weight
            count[holders] += 1.0
            total += weight
        share /= total
        count /= self.lengths.take(rows)
        return share, np.minimum(count, 1.0, out=count)

    def _holders(self, rows: Array, groups: Sequence[Array]) -> Iterator[Array]:
        """Places among the rows of those that have a stem of each group; a stem's each once."""
        table = np.take(self.codes, rows, axis=0)
        longest, flat = table.shape[1], table.ravel()
        for group in groups:
            # Few places hold it: quicker than asking every row for any.
            found = [np.flatnonzero(flat == code) // longest for code in group.tolist()]
            yield found[0] if len(found) == 1 else np.unique(np.concatenate([NO_ROWS, *found]))

    def save(self, folder: Path) -> None:
        """Write two files."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / CODES, self.codes)
        (folder / STEMS).write_text(json.dumps(self._documents, ensure_ascii=False))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        return cls(np.load(folder / CODES), json.loads((folder / STEMS).read_text()))


def _stems_of(
    analyzer: Analyzer, texts: pl.Series, longest: int, cut: dict[str, str]
) -> pl.DataFrame:
    """`row`, `stem` and `place` of the first distinct stems of each text; fills `cut` by word."""
    frame = texts.to_frame().with_row_index("row")
    words = frame.select(
        "row", pl.col("text").str.to_lowercase().str.extract_all(r"\w+").alias("word")
    ).explode("word").drop_nulls("word")  # fmt: skip
    known = words["word"].unique()
    # Each word once: texts share theirs.
    for word in known.to_list():
        if word not in cut:
            cut[word] = " ".join(analyzer.stems(word))
    stems = pl.DataFrame(
        {"word": known, "stem": pl.Series([cut[word] for word in known.to_list()], dtype=pl.String)}
    )
    return (
        words.join(stems.filter(pl.col("stem") != ""), on="word", maintain_order="left")
        .unique(["row", "stem"], keep="first", maintain_order=True)
        .with_columns(place=pl.int_range(pl.len()).over("row"))
        .filter(pl.col("place") < longest)
    )
