"""The index: what is known of each product, its words, its vector, what filters ask for.

Made anew each day from the catalogue; texts that were encoded before are not encoded again. Saved
as plain files.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from agora.retrieval.attributes import Attributes
from agora.retrieval.coverage import Coverage
from agora.retrieval.lexical import Lexical, Schema
from agora.retrieval.vectors import DEPTH, Vectors
from agora.shopping.catalogue import FILE, Catalogue, attributes_of, catalogue_of, logged
from agora.systems.search.features import LOGGED, OF_ITEM

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Array = np.ndarray[Any, Any]

SAID = "index.json"
WORDS, MEANING, FILTERS, TITLES, TEXTS = "words", "meaning", "filters", "titles", "texts"
# Distinct words that are kept of a title, and of all that is said of a product.
TITLE_WORDS, TEXT_WORDS = 16, 48
RATE = "product_click_rate_30d"
VOLUME = [OF_ITEM.index(name) for name in (
    "product_click_count_30d", "product_purchase_count_30d", RATE,
)]  # fmt: skip
PURCHASE = 10.0  # Clicks as which a purchase counts.
# The most popular products, among which those with a query's words are looked for one by one.
LOOKED_AT = 50_000


class Index(Catalogue):
    """Products by row.

    Args:
        frame: What `frame_of` made, one row per product.
        lexical: Their words.
        vectors: Of their texts; a row without one was not encoded.
        attributes: What filters ask for.
        coverage: Stems of the titles, and of all that is said.
        encoder: What the vectors were made by; empty without any.
        built: Rows when all was last built; those after them came since. All by default.

    Attributes:
        titles: Column of titles.
        descriptions: Column of descriptions.
        usual: Mean rate of clicks.
        popularity: Logarithm of what is taken, (n,).
        told: Columns `TOLD` as the rankers read them, yet when it was listed for its age:
            (n, len(TOLD)).
        ordered: Rows, the most popular first, (n,).
        wanted: The first of them that can be bought.
    """

    def __init__(
        self,
        frame: pl.DataFrame,
        lexical: Lexical,
        vectors: Vectors,
        attributes: Attributes,
        coverage: tuple[Coverage, Coverage],
        encoder: str,
        built: int | None = None,
    ) -> None:
        super().__init__(frame, attributes)
        self.encoder = encoder
        self.built = len(frame) if built is None else built
        self.lexical, self.vectors = lexical, vectors
        self.title_words, self.text_words = coverage
        self.titles, self.descriptions = frame["title"], frame["description"]
        features = frame.select(OF_ITEM).to_numpy()
        rates = features[:, OF_ITEM.index(RATE)]
        rates = rates[~np.isnan(rates)]
        self.usual = float(rates.mean()) if len(rates) else 0.0
        self.popularity = popularity_of(features, self.usual)
        self.told = self._told(features)
        self.ordered = np.argsort(-self.popularity, kind="stable")
        self.wanted = self.ordered[self.for_sale[self.ordered]][:LOOKED_AT]

    @classmethod
    def of(
        cls,
        frame: pl.DataFrame,
        matrix: Array,
        present: Array,
        weights: Mapping[str, float],
        encoder: str = "",
        depth: int = DEPTH,
        synonyms: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Self:
        """An index of a frame.

        Args:
            frame: What `frame_of` made.
            matrix: Vector of each text, (n, width).
            present: Which rows have one, (n,) bool.
            weights: Of the fields that are searched by words.
            encoder: What the vectors were made by.
            depth: How many hits by meaning it will be asked for.
            synonyms: What is looked for beside a word or phrase.
        """
        lexical = Lexical.build(
            Schema(dict(weights), synonyms=dict(synonyms or {})),
            np.arange(len(frame)),
            {name: frame[name].to_list() for name in weights},
        )
        coverage = (
            Coverage.of(lexical.analyzer, frame["title"], TITLE_WORDS),
            Coverage.of(lexical.analyzer, said_of(frame), TEXT_WORDS),
        )
        vectors = Vectors.build(matrix, present=present, depth=depth)
        return cls(frame, lexical, vectors, attributes_of(frame), coverage, encoder)

    @property
    def has_vectors(self) -> bool:
        """Whether its texts were encoded; an empty index lacks nothing."""
        return not len(self) or len(self.vectors) > 0

    def _told(self, features: Array) -> Array:
        price = self.log_price()
        beside = price - self.frame["usual_price"].to_numpy()
        parts = (price, beside, logged(features, len(LOGGED)), self.popularity, self.listed)
        return np.column_stack(parts)

    def save(self, folder: Path) -> None:
        """Write plain files."""
        folder.mkdir(parents=True, exist_ok=True)
        self.frame.write_parquet(folder / FILE)
        (folder / SAID).write_text(json.dumps({"encoder": self.encoder, "built": self.built}))
        for name, part in (
            (WORDS, self.lexical), (MEANING, self.vectors), (FILTERS, self.attributes),
            (TITLES, self.title_words), (TEXTS, self.text_words),
        ):  # fmt: skip
            (folder / name).mkdir()
            part.save(folder / name)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        said = json.loads((folder / SAID).read_text())
        return cls(
            pl.read_parquet(folder / FILE),
            Lexical.load(folder / WORDS),
            Vectors.load(folder / MEANING),
            Attributes.load(folder / FILTERS),
            (Coverage.load(folder / TITLES), Coverage.load(folder / TEXTS)),
            said["encoder"],
            said.get("built"),
        )


def frame_of(items: pl.DataFrame) -> pl.DataFrame:
    """What the index keeps of a catalogue with its features; nulls filled with what they mean."""
    features = items.select(pl.col(OF_ITEM).cast(pl.Float64).fill_nan(None))
    log_price = pl.when(pl.col("price") > 0).then(pl.col("price").log())
    return pl.concat(
        [
            catalogue_of(items)
            .with_columns(pl.col("category", "merchant_id").fill_null(""))
            .with_columns(
                usual_price=log_price.fill_nan(None).median().over("category").fill_null(0.0)
            ),
            features.with_columns(pl.col(LOGGED).fill_null(0.0)).fill_null(float("nan")),
        ],
        how="horizontal",
    )  # fmt: skip


def said_of(frame: pl.DataFrame) -> pl.Series:
    """All that is said of each product."""
    whole = pl.concat_str("title", "description", "category", separator=" ")
    return frame.select(whole).to_series()


def texts_of(frame: pl.DataFrame) -> list[str]:
    """What is encoded of each product."""
    return frame.select(pl.concat_str("title", "description", separator=". ")).to_series().to_list()


def popularity_of(features: Array, usual: float) -> Array:
    """Logarithm of what is taken of products, (n,).

    Rates of looks are what places do not explain; volume is what rates of a few looks lack.

    Args:
        features: Columns `OF_ITEM`, (n, len(OF_ITEM)).
        usual: Mean rate of clicks.
    """
    clicks, bought, rate = (features[:, place] for place in VOLUME)
    volume = np.log1p(np.nan_to_num(clicks) + PURCHASE * np.nan_to_num(bought))
    if not usual:
        return np.asarray(volume)
    relative = np.where(np.isnan(rate), 1.0, rate / usual)
    return np.asarray(volume + np.log(np.clip(relative, 1e-3, 1e3)))
