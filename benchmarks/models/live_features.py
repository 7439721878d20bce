"""Features as they move on while a fortnight is driven, with the columns of the store.

The SQL of the platform makes them from the lake; running it for each driven day would take minutes
a day, and the lake holds what the history's own shop showed in these days. Mean clicked price and
number of categories are left at their defaults here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

import polars as pl

from agora.entities.customers import CUSTOMERS_INTERESTS, CUSTOMERS_SHOPPING, INTERESTS
from agora.entities.products import PRODUCTS_DAILY
from agora.entities.sequences import KINDS
from agora.items import item_keys
from agora.serving.fields import Fields
from agora.systems.recommendation import SYSTEM

DAY = 86_400.0
DONE = ("customer_id", "product_id", "kind", "list_id", "event_at")
SHOWN = ("product_id", "position", "event_at")
WINDOWS, LOOKED_BACK, PRIOR = (1, 7, 30), 90, 10.0
"""As in `ftr_products__daily`: days, days back for purchases, looks of average success."""


@dataclass(frozen=True, slots=True)
class Live:
    """What was shown and done so far.

    Attributes:
        done: Interactions, columns `DONE`.
        shown: Impressions, columns `SHOWN`.
    """

    done: pl.DataFrame
    shown: pl.DataFrame

    def after(self, frames: dict[str, pl.DataFrame]) -> Live:
        """With a day more.

        Args:
            frames: Tables that `drive` gave.
        """
        return Live(
            pl.concat([self.done.select(DONE), frames["interactions"].select(DONE)]),
            pl.concat([self.shown.select(SHOWN), frames["impressions"].select(SHOWN)]),
        )

    def columns(self, requests: list[dict[str, Any]]) -> pl.DataFrame:
        """Requests with the features of their customers as of each request's day."""
        dtypes = Fields(SYSTEM.request).dtypes
        rows = [
            {
                **dict.fromkeys(dtypes), **request,
                "event_at": datetime.fromisoformat(request["event_at"]),
                "session": _events(request.get("session")),
            }
            for request in requests
        ]  # fmt: skip
        frame = pl.DataFrame(rows, schema=dtypes, infer_schema_length=None)
        known = self._customers(frame["event_at"].min())
        absent = {
            column: default
            for each in (CUSTOMERS_INTERESTS, CUSTOMERS_SHOPPING)
            for column, default in zip(each.columns, each.defaults, strict=True)
        }
        joined = frame.join(known, on="customer_id", how="left", maintain_order="left")
        for name in absent.keys() - set(joined.columns):
            joined = joined.with_columns(pl.lit(None, pl.Float64).alias(name))
        return joined.with_columns(
            pl.col(name).fill_null(default) for name, default in absent.items()
        )

    def items(self, items: pl.DataFrame, midnight: datetime) -> pl.DataFrame:
        """A catalogue with the products' features as of a midnight: of this life, not the lake's.

        Args:
            items: Of `catalogue_of`.
            midnight: That ends the last day that counts.
        """
        counted = self._products(midnight)
        names = [name for name in PRODUCTS_DAILY.columns if name in items.columns]
        own = items.drop(names).join(
            counted.select("product_id", *names), on="product_id", how="left", maintain_order="left"
        )
        return own.select(items.columns)

    def _products(self, midnight: datetime) -> pl.DataFrame:
        """One row per product that was shown or taken within 30 days."""
        shown = _before(self.shown, midnight).with_columns(
            look=1.0 / (pl.col("position") + 1.0).log(2.0), kind=pl.lit("impression")
        )
        done = _before(self.done, midnight)
        listed = pl.col("list_id").is_not_null()
        parts = [
            _counts(shown, ("impression",)),
            _counts(done, tuple(KINDS)),
            shown.filter(pl.col("age") < 30).group_by("product_id").agg(pl.col("look").sum()),
            done.filter(pl.col("age") < 30, listed).group_by("product_id").agg(
                ((pl.col("kind") == kind).sum()).alias(f"listed_{kind}")
                for kind in ("click", "purchase")
            ),
            done.filter(pl.col("age") < 30).group_by("product_id").agg(
                product_customer_count_30d=pl.col("customer_id").drop_nulls().n_unique()
            ),
            done.filter(pl.col("age") < LOOKED_BACK, pl.col("kind") == "purchase")
            .group_by("product_id").agg(product_days_since_purchase=pl.col("age").min()),
        ]  # fmt: skip
        joined = reduce(
            lambda one, other: one.join(other, on="product_id", how="full", coalesce=True), parts
        )
        met = joined.filter(
            pl.sum_horizontal(pl.col(f"product_{k}_count_30d") for k in ("impression", *KINDS)) > 0
        )
        zero = met.with_columns(
            pl.exclude("product_id", "product_days_since_purchase").fill_null(0)
        )
        return zero.with_columns(
            (
                (
                    pl.col(f"listed_{kind}")
                    + PRIOR * pl.col(f"listed_{kind}").sum() / pl.col("look").sum()
                )
                / (pl.col("look") + PRIOR)
            ).alias(f"product_{kind}_rate_30d")
            for kind in ("click", "purchase")
        ).with_columns(pl.exclude("product_id").cast(pl.Float64))

    def _customers(self, now: Any) -> pl.DataFrame:
        """One row per customer: the latest interactions, and counts of 7 and 30 days."""
        done = self.done.drop_nulls("customer_id").filter(pl.col("event_at") < now)
        latest = (
            done.sort("event_at", descending=True)
            .with_columns(step=pl.int_range(1, pl.len() + 1).over("customer_id"))
            .filter(pl.col("step") <= INTERESTS)
        )
        latest = latest.with_columns(
            product=pl.Series(item_keys(latest["product_id"])),
            kind=pl.col("kind").replace_strict(KINDS, range(len(KINDS)), return_dtype=pl.Float64),
            event_at=pl.col("event_at").dt.epoch("us") / 1e6,
        )
        wide = latest.pivot("step", index="customer_id", values=["product", "kind", "event_at"])
        wide = wide.rename(
            {name: f"customer_{name}" for name in wide.columns if name != "customer_id"}
        )
        age = (pl.lit(now) - pl.col("event_at")).dt.total_seconds() / DAY
        counts = done.group_by("customer_id").agg(
            ((pl.col("kind") == kind) & (age < days)).sum().cast(pl.Float64)
            .alias(f"customer_{kind}_count_{days}d")
            for kind in KINDS
            for days in (7, 30)
        )  # fmt: skip
        return wide.join(counts, on="customer_id", how="left")


def _before(frame: pl.DataFrame, midnight: datetime) -> pl.DataFrame:
    """What happened in the 90 days before a midnight, with its `age` in days."""
    age = (pl.lit(midnight) - pl.col("event_at")).dt.total_microseconds() / (DAY * 1e6)
    kept = pl.col("event_at").is_between(
        pl.lit(midnight - timedelta(days=LOOKED_BACK)), pl.lit(midnight), closed="left"
    )
    return frame.filter(kept).with_columns(age=age)


def _counts(frame: pl.DataFrame, kinds: tuple[str, ...]) -> pl.DataFrame:
    return frame.group_by("product_id").agg(
        ((pl.col("kind") == kind) & (pl.col("age") <= days)).sum()
        .alias(f"product_{kind}_count_{days}d")
        for kind in kinds
        for days in WINDOWS
    )  # fmt: skip


def _events(session: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    return (
        session
        and [
            {**event, "at": datetime.fromisoformat(event["at"]).astimezone(UTC)}
            for event in session
        ][-50:]
    )
