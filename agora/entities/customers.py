"""Customers and what their history says."""

from __future__ import annotations

from datetime import timedelta

from agora.entities.windows import daily_frauds, daily_payments, recent_payments
from agora.features import Entity, Feature, FeatureSet

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
