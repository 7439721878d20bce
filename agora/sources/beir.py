"""Judged search collections in BEIR's format: `corpus.jsonl`, `queries.jsonl`, `qrels/<part>.tsv`.

`read` gives documents, queries and judgements; `land` puts the documents into the landing folders
as products and the queries as searches, so that a search system can be built on them. Judgements
are no marketplace's data: they stay in the collection. The format knows no times, sellers or
prices: all is taken to have been known on `KNOWN`, from one seller, at one of no currency. (Thakur,
Reimers, Ruecklé, Srivastava, Gurevych: BEIR, 2021.)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl

from agora.sources.landed import land_tables
from agora.sources.source import Source, SourceError
from agora.tables import MERCHANTS, MOST_TYPED, PRODUCTS, SEARCHES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agora.sources.source import Summary

KNOWN = datetime(2020, 1, 1, tzinfo=UTC)
SELLER, NO_CURRENCY, LONGEST = "beir", "XXX", 10_000
TEXTS = {"_id": pl.String, "title": pl.String, "text": pl.String}


@dataclass(frozen=True)
class Collection:
    """A judged collection.

    Attributes:
        documents: `id`, `title` and `text`, in the file's order.
        queries: `id` and `text`.
        judgements: `query`, `document` and `grade` by part (`train`, `test`, ...); above 0 is
            relevant.
    """

    documents: pl.DataFrame
    queries: pl.DataFrame
    judgements: dict[str, pl.DataFrame]

    def of(self, part: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Queries with a judgement in a part, in the file's order, and those judgements."""
        judged = self.judgements[part]
        return self.queries.filter(pl.col("id").is_in(judged["query"].implode())), judged


def read(path: Path) -> Collection:
    """Read a collection's folder.

    Raises:
        SourceError: A file is missing or not in the format.
    """
    parts = sorted((path / "qrels").glob("*.tsv"))
    if not parts:
        raise SourceError(f"{path}: no qrels/*.tsv here; give a folder in BEIR's format")
    documents = _lines(path / "corpus.jsonl", TEXTS).with_columns(pl.col("title").fill_null(""))
    queries = _lines(path / "queries.jsonl", {"_id": pl.String, "text": pl.String})
    return Collection(documents, queries, {part.stem: _judgements(part) for part in parts})


def land(path: Path, landing: Path) -> Summary:
    """Land the collection; landing it again changes nothing.

    Raises:
        SourceError: A file is missing or not in the format.
    """
    collection = read(path)
    day = pl.lit(KNOWN).cast(pl.Datetime("us", "UTC"))
    products = collection.documents.select(
        product_id="id", merchant_id=pl.lit(SELLER), category=pl.lit(path.resolve().name[:64]),
        title=pl.when(pl.col("title") == "").then("id").otherwise("title"),
        description=pl.col("text").str.slice(0, LONGEST), price=pl.lit(1.0),
        currency=pl.lit(NO_CURRENCY), stock=pl.lit(None), event_at=day, arrived_at=day,
    )  # fmt: skip
    sellers = pl.DataFrame({"merchant_id": [SELLER], "category": ["documents"], "country": ["ZZ"]})
    searches = collection.queries.select(
        search_id="id", session_id="id", customer_id=pl.lit(None),
        query=pl.col("text").str.slice(0, MOST_TYPED), results=pl.lit(0), event_at=day,
        arrived_at=day,
    )  # fmt: skip
    tables = {
        MERCHANTS: sellers.with_columns(event_at=day, arrived_at=day),
        PRODUCTS: products,
        SEARCHES: searches,
    }
    return land_tables("beir", tables, landing)


BEIR = Source("beir", "Documents and queries of a judged collection in BEIR's format.", land)


def _lines(file: Path, columns: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    try:
        frame = pl.read_ndjson(file, schema=columns)
    except (OSError, pl.exceptions.PolarsError) as error:
        said = str(error).splitlines()[0]
        raise SourceError(f"{file}: cannot be read ({said})") from error
    if frame["_id"].null_count() or frame["text"].null_count():
        raise SourceError(f"{file}: a line without _id or text; not BEIR's format")
    return frame.rename({"_id": "id"})


def _judgements(file: Path) -> pl.DataFrame:
    try:
        frame = pl.read_csv(file, separator="\t", infer_schema=False, quote_char=None)
        found = frame.select(
            query="query-id", document="corpus-id", grade=pl.col("score").cast(pl.Int64)
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        said = str(error).splitlines()[0]
        raise SourceError(f"{file}: not BEIR's judgements ({said})") from error
    return found
