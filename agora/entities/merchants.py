"""Merchants and what their history says."""

from __future__ import annotations

from datetime import timedelta

from agora.entities.windows import daily_frauds, daily_payments, recent_payments
from agora.features import Entity, Feature, FeatureSet

MERCHANT = Entity("merchant", "Someone who is paid: a seller as payments see it.")

MERCHANTS_DAILY = FeatureSet(
    name="merchants__daily",
    entity=MERCHANT,
    features=(
        *daily_payments(),
        *daily_frauds(),
        Feature("customer_count_30d", "Different customers who paid in the last 30 days.", 0.0),
        Feature("latitude", "Degrees north."),
        Feature("longitude", "Degrees east."),
        Feature("age_days", "Days since the merchant was first known.", 0.0),
    ),
    description="One row per merchant and day: takings and known fraud at its closing midnight.",
    freshness=timedelta(hours=26),
    owner="team:sellers",
    personal=False,
)

MERCHANTS_RECENT = FeatureSet(
    name="merchants__recent",
    entity=MERCHANT,
    features=recent_payments("5m", "1h"),
    description="One row per merchant and arrived payment: the short windows as they then stood.",
    freshness=timedelta(hours=26),
    owner="team:sellers",
    personal=False,
)
