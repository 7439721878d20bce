"""Spelling, corrected by the words that an index holds.

A word that no document has is replaced by those within one or two edits (insert, delete, change,
swap of neighbours), the frequent ones first, or cut in two words that exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.retrieval.hits import Array

# Shorter words have too many neighbours; numbers mean what they say.
SHORTEST, TWO_EDITS_FROM = 4, 8
MOST_CHOICES = 3
LETTERS = 64


class Speller:
    """Words of an index with the number of documents that have each.

    Args:
        words: Each once.
        counts: Documents, int64 (words,).
    """

    def __init__(self, words: Sequence[str], counts: Array) -> None:
        self.words = tuple(words)
        self.counts = np.asarray(counts, np.int64)
        self._known: dict[str, int] = dict(zip(self.words, self.counts.tolist(), strict=True))
        self._lengths = np.fromiter(map(len, self.words), np.int64, len(self.words))
        self._letters = np.fromiter(map(_letters, self.words), np.uint64, len(self.words))

    def count(self, word: str) -> int:
        """Documents that have the word; 0 for an unknown one."""
        return self._known.get(word, 0)

    def frequent(self, k: int) -> list[str]:
        """The k words that most documents have, the most frequent first."""
        order = np.argsort(-self.counts, kind="stable")[:k]
        return [self.words[row] for row in order.tolist()]

    def choices(self, word: str) -> list[tuple[str, int]]:
        """Known words that an unknown one may stand for, with their edits; best first."""
        if len(word) < SHORTEST or any(map(str.isdigit, word)):
            return []
        furthest = 2 if len(word) >= TWO_EDITS_FROM else 1
        found = self._near(word, furthest)
        closest = min((edits for _, edits in found), default=0)
        return [(each, edits) for each, edits in found if edits == closest][:MOST_CHOICES]

    def parts(self, word: str) -> tuple[str, str] | None:
        """Two known words that make an unknown one, the rarer of the two as frequent as can be."""
        cuts = [(word[:at], word[at:]) for at in range(2, len(word) - 1)]
        best = max(cuts, key=lambda cut: min(map(self.count, cut)), default=None)
        return best if best and min(map(self.count, best)) else None

    def _near(self, word: str, furthest: int) -> list[tuple[str, int]]:
        from rapidfuzz.distance import OSA

        # An edit changes at most two of the letters that a word has: this leaves few to compare.
        differing = np.bitwise_count(self._letters ^ np.uint64(_letters(word)))
        close = np.abs(self._lengths - len(word)) <= furthest
        candidates = np.flatnonzero((differing <= 2 * furthest) & close)
        found = [
            (row, edits)
            for row in candidates.tolist()
            if (edits := OSA.distance(word, self.words[row], score_cutoff=furthest)) <= furthest
        ]
        # People seldom mistake the first letter.
        found.sort(
            key=lambda each: (
                each[1], self.words[each[0]][0] != word[0], -self.counts[each[0]],
                self.words[each[0]],
            )
        )  # fmt: skip
        return [(self.words[row], edits) for row, edits in found]


def _letters(word: str) -> int:
    bits = 0
    for letter in word:
        bits |= 1 << (ord(letter) % LETTERS)
    return bits
