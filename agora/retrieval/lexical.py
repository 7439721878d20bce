"""Search by words: BM25 over several fields of text, in a tantivy index.

A query is only ever cut into words: it has no syntax that could go wrong. Each word is looked for
by its stem in every field; unknown words by what they may stand for; synonyms beside the word.
Rows are the caller's numbers. An index is plain files in one folder; `load` never writes there,
changes are made in a copy.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from agora.retrieval.hits import Hits, RetrievalError
from agora.retrieval.queries import Interpreter, Reading
from agora.retrieval.spelling import Speller
from agora.retrieval.words import STEMS, WORDS, Analyzer, readable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from agora.retrieval.hits import Array

ROW, VOCABULARY, CONFIGURATION = "row", "vocabulary", "lexical.json"
# Bytes before the writer makes a segment; one thread keeps the order of segments steady.
HEAP = 256_000_000
LOCKS = (".tantivy-writer.lock", ".tantivy-meta.lock")
# Hits asked for, of each that is wanted, when a filter throws some away; then more, up to a most.
OVERSAMPLED, SPARE, FURTHEST = 4, 2, 50_000


@dataclass(frozen=True, slots=True)
class Schema:
    """What an index holds.

    Attributes:
        fields: Weight by field of text.
        exact: Fields whose value is taken whole, to filter by.
        language: Of the stemmer.
        synonyms: Words or phrases that are looked for beside a word or phrase, lower case.
    """

    fields: dict[str, float]
    exact: tuple[str, ...] = ()
    language: str = "english"
    synonyms: dict[str, tuple[str, ...]] = field(default_factory=dict)


class Lexical:
    """A tantivy index and how queries are read; made by `build` or `load`."""

    def __init__(self, folder: Path, schema: Schema, kept: TemporaryDirectory[str] | None) -> None:
        import tantivy

        self.schema, self._folder, self._kept = schema, folder, kept
        self.analyzer = Analyzer(schema.language)
        self._index = tantivy.Index.open(str(folder))
        self.analyzer.register(self._index)
        self._index.config_reader("manual", 0)
        self._read()

    @classmethod
    def build(cls, schema: Schema, rows: Array, texts: Mapping[str, Sequence[str | None]]) -> Self:
        """Index documents.

        Args:
            schema: Fields, language, synonyms.
            rows: The documents' numbers, int64 (n,), none twice.
            texts: Every field's and exact field's texts, (n,) each.
        """
        import tantivy

        kept = TemporaryDirectory(prefix="agora-lexical-")
        (Path(kept.name) / CONFIGURATION).write_text(json.dumps(asdict(schema)))
        tantivy.Index(_tantivy_schema(schema), path=kept.name)
        built = cls(Path(kept.name), schema, kept)
        built._write(np.asarray(rows), texts, np.empty(0, np.int64))
        return built

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open what `save` wrote; the folder may be read-only.

        Raises:
            RetrievalError: A file is missing or torn.
        """
        try:
            said = json.loads((folder / CONFIGURATION).read_text())
            synonyms = {word: tuple(others) for word, others in said["synonyms"].items()}
            said |= {"exact": tuple(said["exact"]), "synonyms": synonyms}
            # The reader wants to leave a lock beside the files: it gets a folder of links.
            kept = TemporaryDirectory(prefix="agora-lexical-")
            _linked(folder, Path(kept.name))
            return cls(Path(kept.name), Schema(**said), kept)
        except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
            raise RetrievalError(f"{folder}: the text index cannot be read ({error})") from error

    def save(self, folder: Path) -> None:
        """Write plain files."""
        for file in self._files():
            shutil.copyfile(self._folder / file, folder / file)

    def changed(
        self,
        rows: Array,
        texts: Mapping[str, Sequence[str | None]],
        deleted: Array | None = None,
        synonyms: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Self:
        """A copy with documents added, those of known rows replaced, and others deleted.

        Args:
            rows: The documents' numbers.
            texts: As `build` takes them.
            deleted: Numbers of documents.
            synonyms: Take the place of those it has; None leaves them.
        """
        kept = TemporaryDirectory(prefix="agora-lexical-")
        _linked(self._folder, Path(kept.name))
        schema = self.schema if synonyms is None else replace(self.schema, synonyms=dict(synonyms))
        (Path(kept.name) / CONFIGURATION).write_text(json.dumps(asdict(schema)))
        copy = type(self)(Path(kept.name), schema, kept)
        gone = np.empty(0, np.int64) if deleted is None else np.asarray(deleted)
        copy._write(np.asarray(rows), texts, gone)
        return copy

    def __len__(self) -> int:
        return int(self._searcher.num_docs)

    def read(self, query: str) -> Reading:
        """The query's words as they will be looked for, spelling corrected."""
        return self._interpreter.read(query)

    def search(
        self,
        query: str | Reading,
        k: int,
        *,
        allowed: Array | None = None,
        exact: Mapping[str, Collection[str]] | None = None,
        fields: Collection[str] | None = None,
    ) -> Hits:
        """The k documents that fit a query best, by BM25.

        Args:
            query: As typed, or as `read` returned it.
            k: Most hits.
            allowed: By row whether it may be found, bool.
            exact: Values of which an exact field must have one, by field.
            fields: Only these; all by default.
        """
        reading = self.read(query) if isinstance(query, str) else query
        asked = self._interpreter.asked(reading, exact or {}, fields or self.schema.fields)
        if asked is None or k <= 0:
            return Hits.none()
        if allowed is None:
            return self._found(asked, k)
        limit, furthest = OVERSAMPLED * k, max(FURTHEST, OVERSAMPLED * k)
        while True:
            hits = self._found(asked, limit)
            left = hits.within(allowed)
            if len(left) >= k or len(hits) < limit or limit == furthest:
                return Hits(left.rows[:k], left.scores[:k])
            # As many as it takes at this share, and some more: each hit costs.
            needed = SPARE * k * limit // max(len(left), 1)
            limit = min(max(SPARE * limit, needed), furthest)

    def frequent(self, k: int) -> list[str]:
        """The k words that most documents have, the most frequent first."""
        return self._interpreter.speller.frequent(k)

    def completions(self, prefix: str, k: int, among: str = "") -> list[tuple[str, int]]:
        """Words that begin so, with the number of documents, the frequent first.

        Args:
            prefix: Beginning of one word; only its last word counts.
            k: Most words.
            among: Count only documents that fit these words.
        """
        words = self.analyzer.words(readable(prefix))
        if not words or k <= 0:
            return []
        reading = self.read(among)
        asked = self._interpreter.asked(reading, {}, self.schema.fields) if among else None
        return list(self._searcher.terms_with_prefix(VOCABULARY, words[-1], asked, k))

    def _found(self, asked: Any, limit: int) -> Hits:
        limit = min(limit, max(1, len(self)))
        found = self._searcher.search(asked, limit, count=False).hits
        if not found:
            return Hits.none()
        # Not `zip(*found)`: an iterator for each of fifty thousand hits costs three searches.
        scores = np.fromiter((score for score, _ in found), np.float64, len(found))
        rows = self._searcher.fast_field_values(ROW, [address for _, address in found])
        return Hits(np.array(rows, np.int64), scores)

    def _write(
        self, rows: Array, texts: Mapping[str, Sequence[str | None]], deleted: Array
    ) -> None:
        import tantivy

        writer, tantivy_schema = self._index.writer(HEAP, 1), self._index.schema
        replaced = rows if len(self) else rows[:0]
        for row in [*np.asarray(deleted).tolist(), *np.asarray(replaced).tolist()]:
            writer.delete_documents_by_query(tantivy.Query.term_query(tantivy_schema, ROW, row))
        columns = [(name, texts[name]) for name in (*self.schema.fields, *self.schema.exact)]
        for at, row in enumerate(rows.tolist()):
            document = tantivy.Document()
            document.add_unsigned(ROW, row)
            for name, column in columns:
                text = readable(column[at])
                document.add_text(name, text)
                if name in self.schema.fields:
                    document.add_text(VOCABULARY, text)
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()
        self._read()

    def _read(self) -> None:
        self._index.reload()
        self._searcher = self._index.searcher()
        found = self._searcher.terms_with_prefix(VOCABULARY, "")
        speller = Speller([word for word, _ in found], np.array([n for _, n in found], np.int64))
        self._interpreter = Interpreter(
            self.schema.fields, self.schema.synonyms, self.analyzer, speller,
            self._index.schema, self._searcher,
        )  # fmt: skip

    def _files(self) -> list[str]:
        """The index's files of its last commit."""
        managed = json.loads((self._folder / ".managed.json").read_text())
        there = [name for name in managed if (self._folder / name).exists()]
        return sorted({*there, ".managed.json", CONFIGURATION})


def _tantivy_schema(schema: Schema) -> Any:
    from tantivy import SchemaBuilder

    builder = SchemaBuilder()
    builder.add_unsigned_field(ROW, indexed=True, fast=True)
    for name in schema.fields:
        builder.add_text_field(name, tokenizer_name=STEMS, index_option="freq")
    for name in schema.exact:
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    builder.add_text_field(VOCABULARY, tokenizer_name=WORDS, index_option="basic")
    return builder.build()


def _linked(source: Path, target: Path) -> None:
    """The index's files under another folder: segments never change, so a link is enough."""
    managed = json.loads((source / ".managed.json").read_text())
    for name in {*managed, ".managed.json", CONFIGURATION}:
        if name in (".managed.json", "meta.json", CONFIGURATION):
            shutil.copyfile(source / name, target / name)
        elif (source / name).exists():
            (target / name).symlink_to((source / name).resolve())
