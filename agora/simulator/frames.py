"""What the landing tables are made of: identifiers, times, words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from agora.simulator import geography
from agora.simulator.arrivals import prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.simulator.arrays import Bools, Floats, Ints, Payments
    from agora.simulator.marketplace import Marketplace
    from agora.simulator.visitors import Devices


@dataclass(frozen=True, slots=True)
class Identifiers:
    """Identifiers by position, one series for each kind of thing."""

    customers: pl.Series
    merchants: pl.Series
    cards: pl.Series
    devices: pl.Series
    products: pl.Series
    orders: pl.Series
    payments: pl.Series


def identifiers(prefix: str, event_at: Ints) -> pl.Series:
    """Identifiers numbered by time, so that neither a name nor an order betrays the truth."""
    rank = np.empty(len(event_at), dtype=np.int64)
    rank[np.argsort(event_at, kind="stable")] = np.arange(1, len(event_at) + 1)
    # Twelve characters: Polars and Arrow keep such strings inline.
    return pl.select(
        pl.lit(f"{prefix}_") + pl.Series(rank).cast(pl.String).str.zfill(8)
    ).to_series()


def name_all(marketplace: Marketplace, devices: Devices, payments: Payments) -> Identifiers:
    """Identifiers of everything."""
    return Identifiers(
        customers=identifiers("cus", marketplace.customers.joined_at),
        merchants=identifiers("mer", marketplace.merchants.joined_at),
        cards=identifiers("crd", marketplace.cards.created_at),
        devices=identifiers("dev", devices.created_at),
        products=identifiers("prd", marketplace.products.created_at),
        orders=identifiers("ord", payments.event_at),
        payments=identifiers("pay", payments.event_at),
    )


def record_times(
    random: np.random.Generator, marketplace: Marketplace, event_at: Ints
) -> tuple[Ints, Ints]:
    """Times of records: what is older than the simulation arrives when it starts."""
    return event_at, np.maximum(prompt(random, event_at), marketplace.params.start_at)


def framed(times: tuple[Ints, Ints], **columns: pl.Series | Ints | Floats | Bools) -> pl.DataFrame:
    """Columns with `event_at` and `arrived_at` beside them."""
    return timed(pl.DataFrame({**columns, "event_at": times[0], "arrived_at": times[1]}))


def timed(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with its microseconds as timestamps in UTC."""
    return frame.with_columns(pl.col("event_at", "arrived_at").cast(pl.Datetime("us", "UTC")))


def words_at(words: Sequence[str], positions: Ints) -> pl.Series:
    """The words at these positions."""
    return pl.Series(list(words), dtype=pl.String).gather(positions)


def countries(city: Ints) -> pl.Series:
    """Country codes of cities."""
    return words_at(geography.COUNTRIES, geography.COUNTRY_OF[city])


def constant(value: str, count: int) -> pl.Series:
    """One value, many times."""
    return pl.Series([value], dtype=pl.String).new_from_index(0, count)
