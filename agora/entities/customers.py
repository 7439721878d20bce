"""Customers and what their history says."""

from __future__ import annotations

from datetime import timedelta

from agora.entities.sequences import latest_interactions
from agora.entities.windows import daily_counts, daily_frauds, daily_payments, recent_payments
from agora.features import Entity, Feature, FeatureSet

INTERESTS = 24

CUSTOMER = Entity("customer", "Someone who buys.")

CUSTOMERS_DAILY = FeatureSet(
    name="customers__daily",
    entity=CUSTOMER,
    features=(
        *daily_payments(),
        *daily_frauds(),
        Feature("merchant_count_30d", "Different merchants paid in the last 30 days.", 0.0),
        Feature("device_count_30d", "Different devices used in the last 30 days.", 0.0),
        Feature("night_share_30d", "Share of the payments of 30 days made from 0 to 6 UTC."),
        Feature("home_latitude", "Degrees north of the customer's home."),
        Feature("home_longitude", "Degrees east of the customer's home."),
        Feature("age_days", "Days since the customer was first known.", 0.0),
    ),
    description="One row per customer and day: spending and known fraud at its closing midnight.",
    freshness=timedelta(hours=26),
    owner="team:accounts",
)

CUSTOMERS_RECENT = FeatureSet(
    name="customers__recent",
    entity=CUSTOMER,
    features=(
        *recent_payments("5m", "1h", "24h"),
        Feature("merchant_count_24h", "Different merchants paid in 24 hours.", 0.0),
        Feature("last_amount", "Amount of the latest payment."),
        Feature("last_latitude", "Degrees north of the latest payment."),
        Feature("last_longitude", "Degrees east of the latest payment."),
    ),
    description="One row per customer and arrived payment: the short windows as they then stood.",
    freshness=timedelta(hours=26),
    owner="team:accounts",
)

CUSTOMERS_INTERESTS = FeatureSet(
    name="customers__interests",
    entity=CUSTOMER,
    features=latest_interactions(INTERESTS),
    description=(
        f"One row per customer and arrived interaction: the customer's {INTERESTS} latest clicks, "
        "carts and purchases as then known, of the last 60 days."
    ),
    freshness=timedelta(hours=26),
    owner="team:storefront",
)

CUSTOMERS_SHOPPING = FeatureSet(
    name="customers__shopping",
    entity=CUSTOMER,
    features=(
        *daily_counts("click", "Clicks on products", 7, 30),
        *daily_counts("cart", "Products put into the cart", 7, 30),
        *daily_counts("purchase", "Purchases", 7, 30),
        Feature("clicked_price_mean_30d", "Mean price of the products clicked in 30 days."),
        Feature("category_count_30d", "Different categories met in the last 30 days.", 0.0),
    ),
    description=(
        "One row per customer and day: what was looked at and bought, at its closing midnight."
    ),
    freshness=timedelta(hours=26),
    owner="team:storefront",
)
