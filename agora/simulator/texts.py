"""Titles and descriptions of products."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from agora.simulator import vocabulary as words
from agora.simulator.frames import words_at

if TYPE_CHECKING:
    from agora.simulator.goods import Goods

DETAILS = words.split(words.DETAILS)
VARIANTS = words.split(words.VARIANTS)
PURPOSES = words.split(words.PURPOSES)


def titles(goods: Goods) -> pl.Series:
    """Brand, style, kind of thing, detail and variant: `Norhaven rustic sofa, oak, 90 cm`."""
    columns = pl.DataFrame(
        {
            "brand": words_at(words.BRANDS, goods.brand),
            "style": words_at(words.STYLE_WORDS.texts, goods.style_form),
            "noun": words_at(words.NOUN_WORDS.texts, goods.noun_form),
            "detail": words_at(DETAILS, goods.detail),
            "variant": words_at(VARIANTS, goods.variant),
        }
    )
    return columns.select(title=pl.format("{} {} {}, {}, {}", *columns.columns)).to_series()


def descriptions(goods: Goods) -> pl.Series:
    """One to three sentences; some name the thing and its style by another word than the title."""
    # What is said depends on the attributes alone, so that a text needs no stream of its own.
    kind = (goods.brand + goods.detail + goods.variant) % 3
    noun = words.NOUN_WORDS.other(goods.noun, goods.noun_form)
    style = words.STYLE_WORDS.other(goods.style, goods.style_form)
    purpose = goods.category * words.PURPOSES_EACH + (goods.brand + goods.style) % 4
    columns = pl.DataFrame(
        {
            "kind": kind,
            "noun": words_at(words.NOUN_WORDS.texts, noun),
            "style": words_at(words.STYLE_WORDS.texts, style),
            "detail": words_at(DETAILS, goods.detail),
            "purpose": words_at(PURPOSES, purpose),
            "brand": words_at(words.BRANDS, goods.brand),
            "variant": words_at(VARIANTS, goods.variant),
        }
    )
    first = pl.format("Made for {}: {}, {}.", "purpose", "detail", "variant")
    second = pl.format(" This {} {} comes from {}.", "style", "noun", "brand")
    third = pl.format(" Choose {} if you like it {}.", "brand", "style")
    text = (
        pl.when(pl.col("kind") == 0)
        .then(first)
        .when(pl.col("kind") == 1)
        .then(pl.concat_str(first, second))
        .otherwise(pl.concat_str(first, second, third))
    )
    return columns.select(text.alias("description")).to_series()
