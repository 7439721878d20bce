"""What speaks for a document as the answer to a query: inputs of a learned ranking.

Scores of words and of meaning, of the whole document and of its best sentence; how much of the
query's rare words a document or one of its sentences holds. Nothing here sees a judgement.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.retrieval.encoded import EncodedTexts
    from agora.retrieval.lexical import Lexical

Array = np.ndarray[Any, Any]

SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9(\[])")
NAMES = (
    "bm25", "bm25_title", "bm25_text", "meaning", "meaning_title", "meaning_best_sentence",
    "meaning_three_sentences", "bm25_unit", "meaning_unit", "fused", "fused_rank", "coverage",
    "coverage_title", "coverage_sentence", "pairs", "feedback", "words_feedback",
)  # fmt: skip
# Documents per list that are looked at, and the best of them that feedback believes.
DEPTH, BELIEVED = 200, 3
# Weight of the query beside the documents that feedback believes.
OWN = 0.7


@dataclass(frozen=True)
class Evidence:
    """Candidates of one query.

    Attributes:
        rows: Documents, int64 (n,).
        matrix: Inputs by `NAMES`, (n, inputs).
    """

    rows: Array
    matrix: Array

    def column(self, name: str) -> Array:
        """One input of all candidates."""
        return np.asarray(self.matrix[:, NAMES.index(name)])


class Documents:
    """A collection's documents, ready to be asked.

    Args:
        titles: By document.
        texts: By document.
        lexical: Index of the fields `title` and `text`, by document.
        encoded: Encoder of documents and sentences, with what it encoded before.
    """

    def __init__(
        self, titles: Sequence[str], texts: Sequence[str], lexical: Lexical, encoded: EncodedTexts
    ) -> None:
        self._lexical = lexical
        sentences = [SENTENCE.split(text) for text in texts]
        self._starts = np.cumsum([0, *map(len, sentences)])[:-1]
        flat = [sentence for each in sentences for sentence in each]
        whole = [f"{title} {text}" for title, text in zip(titles, texts, strict=True)]
        self.meaning = encoded.vectors(whole)
        self._titles, self._sentences = encoded.vectors(titles), encoded.vectors(flat)
        analyzer = lexical.analyzer
        self._codes: dict[str, int] = {}
        self._whole_stems = self._stems([analyzer.stems(text) for text in whole])
        self._title_stems = self._stems([analyzer.stems(text) for text in titles])
        self._sentence_stems = self._stems([analyzer.stems(text) for text in flat])
        self._pairs = self._stems([_pairs(analyzer.stems(text)) for text in whole])
        self._weighted = self._whole_stems.copy()
        for matrix in (self._whole_stems, self._title_stems, self._sentence_stems, self._pairs):
            # How often matters to the likeness alone.
            matrix.data = np.ones_like(matrix.data)
        counts = np.zeros(len(self._codes))
        for matrix in (self._whole_stems, self._pairs):
            found = np.asarray(matrix.sum(axis=0)).ravel()
            counts[: len(found)] = np.maximum(counts[: len(found)], found)
        self._rarity = np.log1p((len(texts) - counts + 0.5) / (counts + 0.5))
        self._weighted = _weighted(self._weighted, self._rarity)

    def ask(self, query: str, vector: Array) -> Evidence:
        """Candidates of a query with what speaks for each."""
        by_words = self._lexical.search(query, 10 * DEPTH)
        meaning = self.meaning @ vector
        sentences = self._sentences @ vector
        best_sentence = np.maximum.reduceat(sentences, self._starts)
        words, items = np.zeros(len(meaning)), len(meaning)
        words[by_words.rows] = by_words.scores
        units = _unit(words, by_words.rows[:DEPTH]), _unit(meaning, _top(meaning, DEPTH))
        fused = 0.5 * units[0] + 0.5 * units[1]
        rows = np.unique(
            np.concatenate(
                [by_words.rows[:DEPTH], _top(meaning, DEPTH), _top(best_sentence, DEPTH // 2)]
            )
        )
        believed = _top(fused, BELIEVED)
        feedback = self.meaning @ (OWN * vector + (1 - OWN) * self.meaning[believed].mean(axis=0))
        rank = np.empty(items)
        rank[np.argsort(-fused, kind="stable")] = np.arange(items)
        stems = self._lexical.analyzer.stems(query)
        columns = {
            "bm25": words,
            "bm25_title": self._field(query, "title", items),
            "bm25_text": self._field(query, "text", items),
            "meaning": meaning,
            "meaning_title": self._titles @ vector,
            "meaning_best_sentence": best_sentence,
            "meaning_three_sentences": _three_best(sentences, self._starts, rows),
            "bm25_unit": units[0],
            "meaning_unit": units[1],
            "fused": fused,
            "fused_rank": 1 / (10 + rank),
            "coverage": self._coverage(self._whole_stems, stems),
            "coverage_title": self._coverage(self._title_stems, stems),
            "coverage_sentence": np.maximum.reduceat(
                self._coverage(self._sentence_stems, stems), self._starts
            ),
            "pairs": self._coverage(self._pairs, _pairs(stems)),
            "feedback": feedback,
            "words_feedback": self._likeness(believed),
        }
        return Evidence(rows, np.column_stack([columns[name][rows] for name in NAMES]))

    def _field(self, query: str, name: str, items: int) -> Array:
        hits = self._lexical.search(query, 10 * DEPTH, fields=(name,))
        scores = np.zeros(items)
        scores[hits.rows] = hits.scores
        return scores

    def _stems(self, texts: Sequence[Sequence[str]]) -> Any:
        """How often each stem stands in each text: sparse (texts, stems)."""
        from scipy.sparse import csr_array

        codes = [[self._codes.setdefault(s, len(self._codes)) for s in text] for text in texts]
        lengths = np.array([len(text) for text in codes])
        flat = np.fromiter((code for text in codes for code in text), np.int64, lengths.sum())
        rows = np.repeat(np.arange(len(codes)), lengths)
        shape = (len(codes), len(self._codes))
        found = csr_array((np.ones(len(flat)), (rows, flat)), shape=shape)
        found.sum_duplicates()
        return found

    def _coverage(self, matrix: Any, stems: Sequence[str]) -> Array:
        """Share of the query's stems, the rare ones counting more, that each text holds."""
        known = sorted({self._codes[stem] for stem in stems if stem in self._codes})
        inside = [code for code in known if code < matrix.shape[1]]
        # A stem that no document has is as rare as can be.
        unknown = len(set(stems)) - len(known)
        total = self._rarity[known].sum() + unknown * self._rarity.max()
        weights = np.zeros(matrix.shape[1])
        weights[inside] = self._rarity[inside]
        return np.asarray(matrix @ weights / max(total, 1e-9))

    def _likeness(self, believed: Array) -> Array:
        """Likeness of words to the believed documents: cosine of rarity-weighted stems."""
        centre = np.asarray(self._weighted[believed].sum(axis=0)).ravel() / max(len(believed), 1)
        return np.asarray(self._weighted @ centre)


def _weighted(counts: Any, rarity: Array) -> Any:
    """Rows of length 1 of stems by rarity: sparse (texts, stems)."""
    from scipy.sparse import diags_array

    counts.data = np.log1p(counts.data)
    weighted = counts @ diags_array(rarity[: counts.shape[1]])
    norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    return (diags_array(1 / np.maximum(norms, 1e-9)) @ weighted).tocsr()


def _pairs(stems: Sequence[str]) -> list[str]:
    return [f"{first} {second}" for first, second in itertools.pairwise(stems)]


def _top(scores: Array, k: int) -> Array:
    k = min(k, len(scores))
    return np.argpartition(-scores, k - 1)[:k]


def _unit(scores: Array, rows: Array) -> Array:
    """Scores of the rows from 0 to 1; 0 elsewhere."""
    found = np.zeros(len(scores))
    if len(rows):
        low, high = scores[rows].min(), scores[rows].max()
        found[rows] = (scores[rows] - low) / (high - low) if high > low else 1.0
    return found


def _three_best(sentences: Array, starts: Array, rows: Array) -> Array:
    """Mean of the three best sentences of the rows; 0 for the others."""
    found, ends = np.zeros(len(starts)), np.append(starts[1:], len(sentences))
    for row in rows.tolist():
        own = np.sort(sentences[starts[row] : ends[row]])[-3:]
        found[row] = own.mean()
    return found
