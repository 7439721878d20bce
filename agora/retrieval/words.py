"""How text becomes words: lower case, no accents, letters and digits; with or without stemming."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

WORDS, STEMS = "words", "stems"
# Bytes; what is longer is no word of anybody.
LONGEST_WORD = 64
# A query's further words are not looked at: nobody types so many, and each costs time.
MOST_WORDS = 32
# Characters of a query that are looked at.
LONGEST_QUERY = 2_000
# Words whose stems are remembered: titles and queries share theirs.
REMEMBERED = 20_000


class Analyzer:
    """Cuts text into words and stems.

    Args:
        language: Of the stemmer, as Snowball names it (`english`, `finnish`, ...).
    """

    def __init__(self, language: str) -> None:
        from tantivy import Filter

        self.language = language
        self._words = self._built([])
        self._stems = self._built([Filter.stemmer(language)])
        self._stems_of = lru_cache(REMEMBERED)(self._stemmed)

    def words(self, text: str) -> list[str]:
        """The text's words, in order."""
        return list(self._words.analyze(text))

    def stems(self, text: str) -> list[str]:
        """The stems of the text's words, in order; those of short texts are remembered."""
        return list((self._stems_of if len(text) <= LONGEST_WORD else self._stemmed)(text))

    def query_words(self, query: str) -> list[str]:
        """The words of a query that are looked for, each once."""
        return list(dict.fromkeys(self.words(readable(query[:LONGEST_QUERY]))))[:MOST_WORDS]

    def register(self, index: Any) -> None:
        """Make the tokenizers known to a tantivy index."""
        index.register_tokenizer(WORDS, self._words)
        index.register_tokenizer(STEMS, self._stems)

    def _stemmed(self, text: str) -> tuple[str, ...]:
        return tuple(self._stems.analyze(text))

    @staticmethod
    def _built(more: Sequence[Any]) -> Any:
        from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

        usual = [Filter.remove_long(LONGEST_WORD), Filter.lowercase(), Filter.ascii_fold()]
        builder = TextAnalyzerBuilder(Tokenizer.simple())
        for each in [*usual, *more]:
            builder = builder.filter(each)
        return builder.build()


def readable(text: str | None) -> str:
    """Text that can be written as UTF-8, without lone surrogates; empty for none."""
    if not text or text.isascii():
        return text or ""
    return text.encode("utf-8", "ignore").decode()
