"""The index: what is known of each product, row for row, and its vectors in three spaces.

Made anew each day from the catalogue with the models as they are; a product that was listed since
has a vector by its content. Saved as plain files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from agora.items import item_keys
from agora.retrieval.attributes import Attributes
from agora.retrieval.vectors import DEPTH, Vectors
from agora.systems.recommendation.features import LOGGED, OF_ITEM, SHOWN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agora.retrieval.attributes import Selection

Array = np.ndarray[Any, Any]

ITEMS, KEY = "items.parquet", "key"
CATALOGUE = ("product_id", "title", "description", "category", "merchant_id", "price", "stock")
LISTED = "listed_at"
# What nobody counts is there for ever.
UNLIMITED = 1e9
RATE = "product_click_rate_30d"
# Counts of a day, of a week and of a month hold each other: a day counts about four times a month's
# even share.
DECAYED = {
    "product_click_count_1d": 1.0, "product_click_count_7d": 0.5, "product_click_count_30d": 0.25,
    "product_purchase_count_1d": 10.0, "product_purchase_count_7d": 5.0,
    "product_purchase_count_30d": 2.5,
}  # fmt: skip


class Index:
    """Products by row.

    Args:
        frame: What `frame_of` made, one row per product.
        vectors: By space, a row each.
        attributes: What filters ask for.

    Attributes:
        frame: What it was made of.
        ids: Product ids, objects (n,); None for what is gone from the catalogue.
        titles: Objects (n,).
        categories: Code of the category, (n,).
        sellers: Code of the seller, (n,).
        price: (n,), NaN where unknown.
        listed: Epoch seconds, (n,).
        for_sale: Whether it can be bought, (n,) bool.
        features: Columns `OF_ITEM` as they are read, (n, len(OF_ITEM)).
        looks: How often each was shown in the last month, (n,): read for every list.
        popularity: Logarithm of what is taken, as far as its places explain it not, (n,).
        told: Columns `TOLD` as the rankers read them, yet when it was listed for its age:
            (n, len(TOLD)).
    """

    def __init__(
        self, frame: pl.DataFrame, vectors: Mapping[str, Vectors], attributes: Attributes
    ) -> None:
        self.frame = frame
        self.vectors, self.attributes = dict(vectors), attributes
        self.ids = np.array(frame["product_id"].to_list(), dtype=object)
        self.titles = np.array(frame["title"].to_list(), dtype=object)
        self.categories = _codes(frame["category"])
        self.sellers = _codes(frame["merchant_id"])
        self.price = frame["price"].to_numpy()
        self.listed = frame[LISTED].to_numpy()
        self.for_sale = frame["stock"].to_numpy() > 0
        self.features = np.ascontiguousarray(frame.select(OF_ITEM).to_numpy())
        self.looks = np.ascontiguousarray(self.features[:, SHOWN])
        self.popularity = frame["popularity"].to_numpy()
        self.told = self._told()
        keys = frame[KEY].to_numpy()
        self._by_key = np.argsort(keys, kind="stable")
        self._keys = keys[self._by_key]
        order = np.argsort(-self.popularity, kind="stable")
        self.most_popular = order[self.for_sale[order]]
        order = np.argsort(-self.listed, kind="stable")
        self.newest = order[self.for_sale[order]]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(
        cls,
        frame: pl.DataFrame,
        matrices: Mapping[str, tuple[Array, Array | None]],
        found: Mapping[str, int] | None = None,
        asked: Mapping[str, Array] | None = None,
        *,
        listed: bool = True,
    ) -> Self:
        """An index of a frame and its vectors.

        Args:
            frame: What `frame_of` made.
            matrices: By space the vectors (n, width), and which rows have one (None: all).
            found: By space how many it will be asked for.
            asked: By space vectors as it will be asked with; products by default.
            listed: False for one that is not searched: its vectors are only looked up.
        """
        vectors = {
            name: Vectors.build(
                matrix,
                present=present,
                queries=(asked or {}).get(name),
                depth=(found or {}).get(name, DEPTH),
                listed=listed,
            )
            for name, (matrix, present) in matrices.items()
        }
        return cls(frame, vectors, attributes_of(frame))

    def _told(self) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            price = np.log(self.price)
        price[~np.isfinite(price)] = np.nan
        parts = (self.popularity, logged(self.features), self.listed, price)
        return np.column_stack(parts)

    def rows_of(self, keys: Array) -> Array:
        """Row of each product's key, -1 where it is not here; of the keys' shape."""
        if not len(self):
            return np.full(keys.shape, -1)
        place = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
        return np.where(self._keys[place] == keys, self._by_key[place], -1)

    def select(self, filters: Mapping[str, Any] | None) -> Selection | None:
        """Rows that a request's filters leave; None for all that is for sale, and more."""
        wanted = {name: value for name, value in (filters or {}).items() if value is not None}
        equal = {name: [wanted[name]] for name in ("category", "merchant_id") if name in wanted}
        between = {"price": (wanted.get("price_min"), wanted.get("price_max"))}
        found = self.attributes.select(equal, between)
        if found is None and wanted.get("in_stock") is not False:
            return None
        if wanted.get("in_stock") is False:
            return self.attributes.select(equal, {**between, "stock": (0.0, None)})
        return self.attributes.select(equal, {**between, "stock": (1.0, None)})

    def save(self, folder: Path) -> None:
        """Write plain files."""
        folder.mkdir(parents=True, exist_ok=True)
        self.frame.write_parquet(folder / ITEMS)
        (folder / "filters").mkdir()
        self.attributes.save(folder / "filters")
        for name, vectors in self.vectors.items():
            (folder / name).mkdir()
            vectors.save(folder / name)

    @classmethod
    def load(cls, folder: Path, spaces: tuple[str, ...]) -> Self:
        """Read what `save` wrote."""
        return cls(
            pl.read_parquet(folder / ITEMS),
            {name: Vectors.load(folder / name) for name in spaces},
            Attributes.load(folder / "filters"),
        )


def attributes_of(frame: pl.DataFrame) -> Attributes:
    """What filters ask for, of what `frame_of` made."""
    return Attributes(
        {name: frame[name].to_list() for name in ("category", "merchant_id")},
        {name: frame[name].to_numpy() for name in ("price", "stock")},
    )


def frame_of(items: pl.DataFrame) -> pl.DataFrame:
    """What the index keeps of a catalogue with its features; nulls filled with what they mean."""
    features = items.select(pl.col(OF_ITEM).cast(pl.Float64).fill_nan(None))
    volume = pl.sum_horizontal(
        weight * pl.col(name).fill_null(0.0) for name, weight in DECAYED.items()
    )
    usual = float(features[RATE].fill_null(0.0).sum()) / max(int(features[RATE].count()), 1)
    # Rates of looks are what places do not explain; volume is what rates of a few looks lack.
    rate = (pl.col(RATE).fill_null(usual) / (usual or 1.0)).clip(1e-3, 1e3).log()
    popularity = features.select(popularity=(1.0 + volume).log() + (rate if usual else pl.lit(0.0)))
    return pl.concat(
        [
            items.select(CATALOGUE).with_columns(
                pl.col("price").cast(pl.Float64).fill_null(float("nan")),
                pl.col("stock").cast(pl.Float64).fill_null(UNLIMITED),
                pl.col("title", "description").fill_null(""),
            ),
            pl.DataFrame({KEY: item_keys(items["product_id"])}),
            items.select(pl.col(LISTED).dt.epoch("us") / 1e6),
            features.with_columns(pl.col(LOGGED).fill_null(0.0)).fill_null(float("nan")),
            popularity,
        ],
        how="horizontal",
    )


def logged(features: Array) -> Array:
    """Columns `OF_ITEM` as the rankers read them: counts by their logarithm, (n, len(OF_ITEM))."""
    found = np.array(features, dtype=float)
    counts = found[:, : len(LOGGED)]
    np.log1p(np.maximum(counts, 0.0, out=counts), out=counts)
    return found


def _codes(column: pl.Series) -> Array:
    return column.fill_null("").rank("dense").to_numpy().astype(np.int32) - 1
