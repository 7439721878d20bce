"""What customers type: wishes in words, with synonyms, typing errors and a second attempt."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from agora.simulator import vocabulary as words
from agora.simulator.catalogue import PRICE
from agora.simulator.frames import words_at
from agora.simulator.truth import Wants

if TYPE_CHECKING:
    from agora.simulator.arrays import Floats, Ints

KINDS = ("noun", "style", "brand", "category", "cheap", "under", "specific")
KIND_SHARES = np.cumsum([0.42, 0.20, 0.10, 0.07, 0.06, 0.07, 0.08])
MISTYPED = 0.08
UNDER = np.array([5, 10, 20, 50, 100, 200, 500, 1000])
CHEAP = 0.6
"""Of a category's typical price: what counts as cheap."""
NOTHING, UNKNOWN = -1, -2
"""A token that is not there; one that is in no title."""

STYLE_FROM = len(words.NOUN_WORDS.texts)
BRAND_FROM = STYLE_FROM + len(words.STYLE_WORDS.texts)
CATEGORY_FROM = BRAND_FROM + len(words.BRANDS)
TEXTS = (
    *words.NOUN_WORDS.texts,
    *words.STYLE_WORDS.texts,
    *words.BRANDS,
    *words.CATEGORY_WORDS.texts,
)
"""Forms of words by token."""


@dataclass(frozen=True, slots=True)
class Queries:
    """Queries as columns: what is meant, which words are typed, and (n, 3) tokens.

    Attributes:
        wants: What is meant.
        tokens: Forms of words; `NOTHING` where a query has fewer, `UNKNOWN` for a typing error.
        head: Token of the kind of thing or category, as it was meant to be typed.
        limit: Price in `under`; 0 for the word `cheap`, -1 for no word about the price.
        slip: Which typing error; -1 for none.
        slip_at: Where in the word it is made, as a share of its length.
    """

    wants: Wants
    tokens: Ints
    head: Ints
    limit: Ints
    slip: Ints
    slip_at: Floats

    def take(self, rows: Ints) -> Queries:
        """The rows asked for, in that order."""
        rest = [getattr(self, column.name)[rows] for column in fields(self)[1:]]
        return Queries(self.wants.take(rows), *rest)

    def text(self) -> pl.Series:
        """What is typed."""
        word, style, brand = pl.col("word"), self.tokens[:, 1], self.tokens[:, 2]
        columns = pl.DataFrame(
            {
                "word": words_at(TEXTS, self.head),
                "style": words_at(TEXTS, np.maximum(style, 0)),
                "brand": words_at(TEXTS, np.maximum(brand, 0)).str.to_lowercase(),
                "has_style": style >= 0,
                "has_brand": brand >= 0,
                "limit": self.limit,
                "slip": self.slip,
                "at": self.slip_at,
            }
        )
        parts = (
            pl.when(pl.col("limit") == 0).then(pl.lit("cheap")),
            pl.when("has_brand").then("brand"),
            pl.when("has_style").then("style"),
            pl.when(pl.col("slip") >= 0).then(_misspelt()).otherwise(word),
            pl.when(pl.col("limit") > 0).then(pl.format("under {}", "limit")),
        )
        return columns.select(
            query=pl.concat_str(parts, separator=" ", ignore_nulls=True)
        ).to_series()


def nothing(count: int) -> Wants:
    """No wishes at all."""
    none = np.full(count, NOTHING)
    return Wants(none, none, none, none, np.full(count, np.inf))


def ask(random: np.random.Generator, noun: Ints, style: Ints, brand: Ints) -> Queries:
    """A query for each visit, for the kind of thing, style and brand that it has in mind."""
    count = len(noun)
    drawn = random.random(count)
    kind = np.minimum(np.searchsorted(KIND_SHARES, drawn, side="right"), len(KINDS) - 1)
    is_kind = {name: kind == number for number, name in enumerate(KINDS)}
    category = noun // words.NOUNS_EACH
    limit = PRICE[category] * random.uniform(0.6, 2.0, count)
    limit = UNDER[np.minimum(np.searchsorted(UNDER, limit), len(UNDER) - 1)]
    ceiling = np.where(is_kind["under"], limit, np.inf)
    wants = Wants(
        category=category,
        noun=np.where(is_kind["category"], NOTHING, noun),
        style=np.where(is_kind["style"] | is_kind["specific"], style, NOTHING),
        brand=np.where(is_kind["brand"] | is_kind["specific"], brand, NOTHING),
        ceiling=np.where(is_kind["cheap"], CHEAP * PRICE[category], ceiling),
    )
    said = np.where(is_kind["under"], limit, np.where(is_kind["cheap"], 0, NOTHING))
    return _typed(random, wants, said, MISTYPED)


def ask_again(random: np.random.Generator, before: Queries) -> Queries:
    """The second attempt: fewer wishes, other words, and no typing errors."""
    wants = before.wants
    count = len(wants)
    none = np.full(count, NOTHING)
    simpler = Wants(wants.category, wants.noun, none, none, wants.ceiling)
    return _typed(random, simpler, none, 0.0)


def _typed(random: np.random.Generator, wants: Wants, limit: Ints, mistyped: float) -> Queries:
    count = len(wants)
    drawn = random.random((5, count))
    noun = words.NOUN_WORDS.choose(np.maximum(wants.noun, 0), drawn[0])
    style = words.STYLE_WORDS.choose(np.maximum(wants.style, 0), drawn[1])
    category = words.CATEGORY_WORDS.choose(wants.category, drawn[2])
    slip = np.where(drawn[3] < mistyped, random.integers(0, 3, count), NOTHING)
    head = np.where(wants.noun >= 0, noun, CATEGORY_FROM + category)
    tokens = (
        np.where(slip >= 0, UNKNOWN, head),
        np.where(wants.style >= 0, STYLE_FROM + style, NOTHING),
        np.where(wants.brand >= 0, BRAND_FROM + wants.brand, NOTHING),
    )
    return Queries(wants, np.stack(tokens, axis=1), head, limit, slip, drawn[4])


def _misspelt() -> pl.Expr:
    """`word` with a letter left out, doubled, or swapped with the next, but never the first."""
    length = pl.col("word").str.len_chars()
    at = 1 + (pl.col("at") * (length - 2).clip(0)).cast(pl.Int64)
    before, letter, after = (
        pl.col("word").str.slice(0, at),
        pl.col("word").str.slice(at, 1),
        pl.col("word").str.slice(at + 1),
    )
    return (
        pl.when(pl.col("slip") == 0)
        .then(pl.concat_str(before, after))
        .when(pl.col("slip") == 1)
        .then(pl.concat_str(before, letter, letter, after))
        .otherwise(pl.concat_str(before, after.str.slice(0, 1), letter, after.str.slice(1)))
    )
