"""What the index of any system of products has: products by row, their keys, and what filters ask.

A system's `Index` is one of these with its own ways to find and to judge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.items import item_keys
from agora.retrieval.attributes import UNBOUND, Attributes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agora.retrieval.attributes import Selection

Array = np.ndarray[Any, Any]

FILE, KEY, LISTED = "items.parquet", "key", "listed_at"
COLUMNS = ("product_id", "title", "description", "category", "merchant_id", "price", "stock")
SAME = ("category", "merchant_id")
# What nobody counts is there for ever.
UNLIMITED = 1e9


class Catalogue:
    """Products by row.

    Args:
        frame: With the columns that `catalogue_of` makes, one row per product.
        attributes: What filters ask for.

    Attributes:
        frame: What it was made of.
        attributes: As given.
        ids: Product ids, objects (n,); None for what is gone from the catalogue.
        price: (n,), NaN where unknown.
        listed: Epoch seconds, (n,).
        for_sale: Whether it can be bought, (n,) bool.
        names: Categories by code.
        categories: Code of the category, from 0, (n,).
        sellers: Code of the seller, from 0, (n,).
    """

    def __init__(self, frame: pl.DataFrame, attributes: Attributes) -> None:
        self.frame, self.attributes = frame, attributes
        self.ids = np.array(frame["product_id"].to_list(), dtype=object)
        self.price = frame["price"].to_numpy()
        self.listed = frame[LISTED].to_numpy()
        self.for_sale = frame["stock"].to_numpy() > 0
        self.names, self.categories = _coded(frame["category"])
        self.sellers = _coded(frame["merchant_id"])[1]
        keys = frame[KEY].to_numpy()
        # What is gone has none; NaN is sorted to the end.
        self._by_key = np.argsort(keys, kind="stable")[: np.count_nonzero(~np.isnan(keys))]
        self._keys = keys[self._by_key]

    def __len__(self) -> int:
        return len(self.ids)

    def log_price(self) -> Array:
        """Logarithm of the price, NaN where there is none, (n,)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.asarray(np.log(self.price))
        found[~np.isfinite(found)] = np.nan
        return found

    def rows_of(self, keys: Array) -> Array:
        """Row of each product's key, -1 where it is not here; of the keys' shape."""
        if not len(self._keys) or not keys.size:
            return np.full(keys.shape, -1)
        place = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
        return np.where(self._keys[place] == keys, self._by_key[place], -1)

    def select(self, filters: Mapping[str, Any] | None) -> Selection | None:
        """Rows that a request's filters leave; None for all that is for sale, and more."""
        wanted = {name: value for name, value in (filters or {}).items() if value is not None}
        equal = {name: [wanted[name]] for name in SAME if name in wanted}
        between = {"price": (wanted.get("price_min"), wanted.get("price_max"))}
        if wanted.get("in_stock") is False:
            return self.attributes.select(equal, {**between, "stock": (0.0, None)})
        if not equal and between["price"] == UNBOUND:
            return None
        return self.attributes.select(equal, {**between, "stock": (1.0, None)})


def catalogue_of(items: pl.DataFrame) -> pl.DataFrame:
    """The catalogue's columns as an index keeps them; nulls filled with what they mean."""
    return items.select(
        pl.col("product_id"),
        pl.col("title", "description").fill_null(""),
        pl.col(SAME),
        pl.col("price").cast(pl.Float64).fill_null(float("nan")),
        pl.col("stock").cast(pl.Float64).fill_null(UNLIMITED),
        pl.Series(KEY, item_keys(items["product_id"])),
        pl.col(LISTED).dt.epoch("us") / 1e6,
    )


def logged(features: Array, counts: int) -> Array:
    """Features as rankers read them: counts by log(1 + count), (n, width); a copy.

    Args:
        features: As they are read, (n, width).
        counts: How many of the columns are counts; they come first.
    """
    found = np.array(features, dtype=float)
    first = found[:, :counts]
    np.log1p(np.maximum(first, 0.0, out=first), out=first)
    return found


def attributes_of(frame: pl.DataFrame) -> Attributes:
    """What filters ask for, of what `catalogue_of` made."""
    return Attributes(
        {name: frame[name].to_list() for name in SAME},
        {name: frame[name].to_numpy() for name in ("price", "stock")},
    )


def _coded(column: pl.Series) -> tuple[tuple[str, ...], Array]:
    """Distinct values in their order, and the place of each row's among them, (n,) int32."""
    filled = column.fill_null("")
    codes = filled.rank("dense").to_numpy().astype(np.int32) - 1
    return tuple(filled.unique().sort().to_list()), codes
