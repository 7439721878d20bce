"""Products: what their history says, and the catalogue as it was known at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from agora.entities.windows import DAILY_WINDOWS, daily_counts
from agora.features import Entity, Feature, FeatureSet

if TYPE_CHECKING:
    from datetime import datetime

    import polars as pl

    from agora.stores.lake import Lake

PRODUCT = Entity("product", "Something that a merchant offers.")

PRODUCTS_DAILY = FeatureSet(
    name="products__daily",
    entity=PRODUCT,
    features=(
        *daily_counts("impression", "Times shown", *DAILY_WINDOWS),
        *daily_counts("click", "Clicks", *DAILY_WINDOWS),
        *daily_counts("cart", "Times put into a cart", *DAILY_WINDOWS),
        *daily_counts("purchase", "Purchases", *DAILY_WINDOWS),
        Feature(
            "click_rate_30d",
            "Clicks in lists per look expected at the places where the product was shown in 30 "
            "days, drawn towards the rate of all products.",
        ),
        Feature(
            "purchase_rate_30d",
            "Purchases out of lists per look expected at the places where the product was shown "
            "in 30 days, drawn towards the rate of all products.",
        ),
        Feature("days_since_purchase", "Days since the latest purchase of the last 90 days."),
        Feature(
            "customer_count_30d",
            "Different customers who clicked, put into a cart or bought in the last 30 days.",
            0.0,
        ),
    ),
    description=(
        "One row per product and day: how often it was shown, and what came of it, at the day's "
        "closing midnight."
    ),
    freshness=timedelta(hours=26),
    owner="team:catalogue",
    personal=False,
)

READS = ("marts/products",)
"""What `catalogue` reads."""


def catalogue(lake: Lake, as_of: datetime) -> pl.DataFrame:
    """The products known strictly before a time: the newest version of each that had arrived.

    Args:
        lake: Lake, or a `Snapshot` of it, with `marts/products`.
        as_of: The time, with its zone.

    Returns:
        One row per product in order of `product_id`: `product_id`, `title`, `description`,
        `category`, `merchant_id` (the seller), `price`, `currency`, `stock` (null: unlimited) and
        `listed_at`, when the product was first listed as then known.

    Raises:
        ValueError: `as_of` has no time zone.
        LookupError: The products have not been built.
    """
    if as_of.tzinfo is None:
        raise ValueError(f"as_of must have a time zone, got {as_of.isoformat()}")
    if not lake.exists("marts/products"):
        raise LookupError("marts/products has not been built: run dbt model products first")
    return lake.query(f"""
        select
            product_id, title, description, category, merchant_id, price, currency, stock, listed_at
        from marts.products
        where arrived_at < timestamptz '{as_of.isoformat()}'
        qualify row_number() over (partition by product_id order by arrived_at desc) = 1
        order by product_id
    """)
