"""Items: what a recommendation or a search chooses from, and what was known of each at a time.

A system of items answers one request with a list. Its catalogue is one row per item that was listed
and known at a time; `catalogue_of` adds the item's features as of then, and from both the system's
pipeline makes its index.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from agora.point_in_time import point_in_time
from agora.schema import TIME

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import numpy as np

    from agora.features import Entity, FeatureSet
    from agora.stores.lake import Lake
    from agora.system import System

AS_OF = "event_at"
KEY_DIGITS = 13
"""Hexadecimal digits of an item's key: 52 bits, which a float64 holds exactly."""
KEY_SQL = f"('0x' || substr(md5({{}}), 1, {KEY_DIGITS}))::bigint::double"
"""The key in DuckDB's SQL; `{}` is the column of the ids."""


@dataclass(frozen=True)
class Items:
    """What a system chooses from.

    Attributes:
        entity: The items' entity, whose history the feature sets tell.
        column: Column of the item's id: in the catalogue, and in labelled rows of shown items.
        feature_sets: What is known of an item beside its catalogue row.
        catalogue: One row per item that was listed, and known, before a time: `column` (string,
            never twice) and what the pipeline reads, as `title`, `category`, `price`, `stock`.
        reads: Lake tables that the catalogue is made of, as `marts/products`: what lands in them
            within a day is in the index minutes later. None: the index is made anew once a day.
        keyed_by: Field of the request under whose value a list made in batch is kept for the
            service, as `customer_id`; None: no lists are kept.
    """

    entity: Entity
    column: str
    feature_sets: tuple[FeatureSet, ...]
    catalogue: Callable[[Lake, datetime], pl.DataFrame]
    reads: tuple[str, ...] = ()
    keyed_by: str | None = None


def item_key(item_id: str) -> int:
    """A stable number for an item's id, exact as a float64: below 2**52.

    Feature tables of numbers name items by it. Two of a million items share one with a probability
    of 1 in 9,000.
    """
    digest = hashlib.md5(item_id.encode(), usedforsecurity=False).hexdigest()
    return int(digest[:KEY_DIGITS], 16)


def item_keys(ids: pl.Series) -> np.ndarray[Any, Any]:
    """The keys of many ids at once, float64 (n,); NaN where an id is null."""
    import duckdb

    with duckdb.connect(":memory:") as connection:
        connection.register("ids", ids.alias("id").to_frame().with_row_index("place").to_arrow())
        keys = connection.sql(f"select {KEY_SQL.format('id')} as key from ids order by place")
        found = pl.DataFrame(keys.to_arrow_table())["key"]
    return found.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def catalogue_of(
    system: System, lake: Lake, as_of: datetime, known_at: datetime | None = None
) -> pl.DataFrame:
    """The system's catalogue with the items' features, as known at a time; in order of the ids.

    Args:
        system: A system of items.
        lake: What to read.
        as_of: Only what arrived before is used.
        known_at: The same for the catalogue's own columns: within a day it is known as of now,
            while features end with the last closed day. None: as the features.

    Returns:
        One row per item: the catalogue's columns, then per feature set its `columns` and its
        `time_column`.

    Raises:
        ValueError: The system has no items, or its catalogue has an id twice or none.
        LookupError: A feature table has not been built.
    """
    items = system.items
    if items is None:
        raise ValueError(f"{system.name} does not choose from items")
    rows = items.catalogue(lake, as_of if known_at is None else known_at)
    if AS_OF in rows.columns:
        raise ValueError(f"{system.name}: the catalogue has a column {AS_OF}")
    ids = rows[items.column]
    if ids.null_count() or ids.n_unique() < len(ids):
        raise ValueError(f"{system.name}: {items.column} must be there, once per item")
    spine = rows.sort(items.column).with_columns(pl.lit(as_of).cast(TIME).alias(AS_OF))
    keys = {items.entity: items.column}
    return point_in_time(lake, spine, keys, items.feature_sets, AS_OF).drop(AS_OF)
