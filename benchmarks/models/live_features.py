"""Customers' features as they move on while a fortnight is driven, with the columns of the store.

The SQL of the platform makes them from the lake; running it for each driven day would take minutes
a day. Mean clicked price and number of categories are left at their defaults here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from agora.entities.customers import CUSTOMERS_INTERESTS, CUSTOMERS_SHOPPING, INTERESTS
from agora.entities.sequences import KINDS
from agora.items import item_keys
from agora.serving.fields import Fields
from agora.systems.recommendation import SYSTEM

DAY = 86_400.0
TIME = pl.Datetime("us", "UTC")
USED = ("customer_id", "product_id", "kind", "event_at")


@dataclass(frozen=True, slots=True)
class Live:
    """What customers did so far.

    Attributes:
        done: Interactions of known customers: `customer_id`, `product_id`, `kind`, `event_at`.
    """

    done: pl.DataFrame

    def after(self, interactions: pl.DataFrame) -> Live:
        """With a day more."""
        return Live(pl.concat([self.done.select(USED), interactions.select(USED)]))

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
        known = self._features(frame["event_at"].min())
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

    def _features(self, now: Any) -> pl.DataFrame:
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


def _events(session: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    return (
        session
        and [
            {**event, "at": datetime.fromisoformat(event["at"]).astimezone(UTC)}
            for event in session
        ][-50:]
    )
