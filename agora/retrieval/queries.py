"""What a query is taken to mean: its words, their corrections and synonyms, as a tantivy query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from agora.retrieval.spelling import Speller
    from agora.retrieval.words import Analyzer

SYNONYM, EDIT = 0.8, 0.6
"""Weight of a synonym beside the word itself, and of a correction per edit."""
LONGEST_PHRASE = 3
# A word of so many documents tells nothing, and costs the most; it counts when there is no other.
COMMON = 0.2
FEW_DOCUMENTS = 100


@dataclass(frozen=True, slots=True)
class Reading:
    """A query as it is looked for.

    Attributes:
        words: As typed, lower case, without accents.
        corrected: The words after correction, as a query; equal to the typed ones if none was.
        groups: Per word or phrase the texts that stand for it, with their weights.
    """

    words: tuple[str, ...]
    corrected: str
    groups: tuple[tuple[tuple[str, float], ...], ...]

    @property
    def is_corrected(self) -> bool:
        """Whether a word was taken for another."""
        return self.corrected != " ".join(self.words)


class Interpreter:
    """Reads queries for one index.

    Attributes:
        speller: Its words.
    """

    def __init__(
        self,
        fields: Mapping[str, float],
        synonyms: Mapping[str, tuple[str, ...]],
        analyzer: Analyzer,
        speller: Speller,
        schema: Any,
        searcher: Any,
    ) -> None:
        self._fields, self._analyzer, self.speller = fields, analyzer, speller
        self._schema, self._searcher = schema, searcher
        # By stems: who types the plural means the same.
        self._synonyms: dict[str, tuple[str, ...]] = {}
        for word, others in synonyms.items():
            stems = self._stems(word)
            self._synonyms[stems] = (*self._synonyms.get(stems, ()), *others)

    def read(self, query: str) -> Reading:
        """The query's words, corrected, with their synonyms."""
        words = self._analyzer.query_words(query)
        groups, corrected = [], []
        for word in words:
            choices, text = self._choices(word)
            groups.append(choices)
            corrected.append(text)
        groups += self._phrases(corrected)
        return Reading(tuple(words), " ".join(corrected), tuple(map(tuple, groups)))

    def asked(
        self, reading: Reading, exact: Mapping[str, Collection[str]], fields: Collection[str]
    ) -> Any | None:
        """The tantivy query; None when there is nothing to look for."""
        from tantivy import Occur, Query

        chosen = [
            query for group in self._telling(reading) if (query := self._group(group, fields))
        ]
        if not chosen:
            return None
        asked = Query.boolean_query([(Occur.Should, query) for query in chosen])
        if not exact:
            return asked
        filters = [
            Query.const_score_query(
                Query.boolean_query(
                    [
                        (Occur.Should, Query.term_query(self._schema, name, value, "basic"))
                        for value in values
                    ]
                ),
                0.0,
            )
            for name, values in exact.items()
        ]
        return Query.boolean_query([(Occur.Must, query) for query in [asked, *filters]])

    def _choices(self, word: str) -> tuple[list[tuple[str, float]], str]:
        """Texts that stand for a word with their weights, and the likeliest one."""
        speller = self.speller
        if speller.count(word) or not self._analyzer.stems(word) or self._beside(word):
            return [(word, 1.0), *self._beside(word)], word
        if parts := speller.parts(word):
            joined = " ".join(parts)
            return [(joined, 1.0), *self._beside(joined)], joined
        choices = speller.choices(word)
        if not choices:
            return [(word, 1.0), *self._beside(word)], word
        best = choices[0][0]
        weighted = [(each, EDIT**edits) for each, edits in choices]
        return [*weighted, *self._beside(best)], best

    def _beside(self, word: str) -> list[tuple[str, float]]:
        others = self._synonyms.get(self._stems(word), ())
        # The words of a phrase are added up: together they count like one.
        return [
            (each, SYNONYM / max(1, len(self._analyzer.stems(each))))
            for each in dict.fromkeys(others)
        ]

    def _stems(self, text: str) -> str:
        return " ".join(self._analyzer.stems(text))

    def _phrases(self, words: list[str]) -> list[list[tuple[str, float]]]:
        """Synonyms of the phrases that stand in the query."""
        spans = [
            " ".join(words[start : start + length])
            for length in range(2, LONGEST_PHRASE + 1)
            for start in range(len(words) - length + 1)
        ]
        return [beside for span in spans if (beside := self._beside(span))]

    def _telling(self, reading: Reading) -> list[tuple[tuple[str, float], ...]]:
        """The groups whose word is not in every other document; all, when there are no others."""
        documents = int(self._searcher.num_docs)
        if documents < FEW_DOCUMENTS:
            return list(reading.groups)
        telling = [
            group
            for group in reading.groups
            if group and self.speller.count(group[0][0]) <= COMMON * documents
        ]
        return telling or list(reading.groups)

    def _group(self, group: tuple[tuple[str, float], ...], fields: Collection[str]) -> Any | None:
        """A word, or what stands for it: the best of them counts."""
        from tantivy import Query

        queries = [
            Query.boost_query(query, weight)
            for text, weight in group
            if (query := self._text(text, fields))
        ]
        return Query.disjunction_max_query(queries) if queries else None

    def _text(self, text: str, fields: Collection[str]) -> Any | None:
        """All stems of a word or phrase, each in any field."""
        from tantivy import Occur, Query

        stems = [
            Query.boolean_query(
                [
                    (Occur.Should, Query.boost_query(
                        Query.term_query(self._schema, name, stem, "freq"), self._fields[name]
                    ))
                    for name in fields
                ]
            )
            for stem in self._analyzer.stems(text)
        ]  # fmt: skip
        if not stems:
            return None
        return (
            stems[0]
            if len(stems) == 1
            else Query.boolean_query([(Occur.Must, stem) for stem in stems])
        )
