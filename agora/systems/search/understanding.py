"""What a query is taken to mean: words, spelling, limits of the price, category, vector."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from agora.retrieval.queries import Reading
    from agora.systems.search.categories import Categories
    from agora.systems.search.index import Index
    from agora.systems.search.meaning import Meaning

Array = np.ndarray[Any, Any]

NUMBER = r"[€$£]?\s*(\d{1,7}(?:[.,]\d{1,2})?)\b"
AT_MOST = re.compile(
    rf"\b(?:under|below|less than|cheaper than|up to|at most|max)\s*{NUMBER}", re.IGNORECASE
)
CHEAP = re.compile(r"\b(?:cheap|cheapest|inexpensive|affordable|low[- ]?cost)\b", re.IGNORECASE)
REMEMBERED = 4_096
# Chance of a category that is not known: its logarithm stays finite.
LEAST = 1e-6


@dataclass(frozen=True, slots=True)
class Understood:
    """One query.

    Attributes:
        used: What is looked for: the words, spelling corrected, and the limit of the price.
        corrected: Whether a word was taken for another.
        reading: The words as the index looks for them.
        groups: Per word the codes of the stems that stand for it, in titles and in all texts.
        ceiling: Highest price that is wanted; infinite when none is named.
        is_cheap: Whether low prices are asked for.
        log_chances: Logarithm of each of the index's categories' chance, (categories,).
        category: The one that is meant; None when unsure.
        vector: Of its meaning; None without an encoder.
    """

    used: str
    corrected: bool
    reading: Reading
    groups: tuple[tuple[Array, ...], tuple[Array, ...]]
    ceiling: float
    is_cheap: bool
    log_chances: Array
    category: str | None
    vector: Array | None


class Understanding:
    """Reads queries for one index; the latest are remembered, as many are typed again."""

    def __init__(self, index: Index, categories: Categories, meaning: Meaning, sure: float) -> None:
        self._index, self._categories = index, categories
        self._meaning, self._sure = meaning, sure
        place = {name: number for number, name in enumerate(categories.names)}
        # The index may have categories that were not learned, and lack some that were.
        self._place = np.array([place.get(name, -1) for name in index.names], np.int64)
        self.of = lru_cache(REMEMBERED)(self._of)

    def _of(self, query: str) -> Understood:
        words, ceiling, is_cheap = priced(query)
        index = self._index
        reading = index.lexical.read(words)
        sensed = self._groups(reading)
        limit = "" if np.isinf(ceiling) else f" under {ceiling:g}"
        cheap = "cheap " if is_cheap else ""
        used = f"{cheap}{reading.corrected}{limit}" if reading.is_corrected else query
        stems = [stem for word in reading.corrected.split() for stem in self._stems(word)]
        chances = self._categories.chances(stems)
        return Understood(
            used=used,
            corrected=reading.is_corrected,
            reading=reading,
            groups=sensed,
            ceiling=ceiling,
            is_cheap=is_cheap,
            log_chances=np.log(np.maximum(self._of_index(chances), LEAST)),
            category=self._named(chances, stems),
            vector=self._meaning.query(
                reading.corrected if reading.is_corrected else words, index.encoder
            ),
        )

    def _of_index(self, chances: Array) -> Array:
        if not len(chances):
            return np.zeros(len(self._place))
        return np.where(self._place >= 0, chances[np.maximum(self._place, 0)], 0.0)

    def _groups(self, reading: Reading) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        words = reading.groups[: len(reading.words)]
        # A phrase beside a word is not there when one of its words is.
        stems = [
            [stem for place, (text, _) in enumerate(group) if not place or " " not in text
             for stem in self._stems(text)]
            for group in words
        ]  # fmt: skip
        titles = tuple(self._index.title_words.codes_of(each) for each in stems)
        texts = tuple(self._index.text_words.codes_of(each) for each in stems)
        return titles, texts

    def _stems(self, text: str) -> list[str]:
        return self._index.lexical.analyzer.stems(text)

    def _named(self, chances: Array, stems: list[str]) -> str | None:
        if not len(chances) or not any(stem in self._categories.counts for stem in stems):
            return None
        best = int(chances.argmax())
        return self._categories.names[best] if chances[best] >= self._sure else None


def priced(query: str) -> tuple[str, float, bool]:
    """A query without what it says of the price, its highest price, and whether cheap is wanted.

    What is about nothing but the price is left as it is.
    """
    limits = [float(number.replace(",", ".")) for number in AT_MOST.findall(query)]
    is_cheap = bool(CHEAP.search(query))
    rest = " ".join(CHEAP.sub(" ", AT_MOST.sub(" ", query)).split())
    if not rest:
        return query, np.inf, False
    return rest, min(limits, default=np.inf), is_cheap
