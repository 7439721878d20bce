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

MERCHANTS_LABELS = FeatureSet(
    name="merchants__labels",
    entity=MERCHANT,
    features=(
        Feature("fraud_streak", "Unbroken run of frauds at the end of what resolved.", 0.0),
        Feature("fraud_streak_days", "Days since the run's first payment was made; null: no run."),
        Feature(
            "plain_fraud_streak", "Frauds of the run with amounts usual for their payers.", 0.0
        ),
        Feature("days_since_genuine", "Days since the payment before the run; null: no run."),
        Feature("resolved_fraud_count_7d", "Payments that resolved as fraud in 7 days.", 0.0),
        Feature("resolved_fraud_count_28d", "Payments that resolved as fraud in 28 days.", 0.0),
        Feature(
            "plain_fraud_count_28d", "Frauds of 28 days with amounts usual for their payers.", 0.0
        ),
        Feature("resolved_count_28d", "Payments that resolved in 28 days.", 0.0),
        Feature("resolved_fraud_share_28d", "Share of frauds in what resolved in 28 days.", 0.0),
    ),
    description=(
        "One row per merchant and moment at which one of its payments resolved: a label said "
        "fraud, or the label delay passed without one and it counts as genuine. A fraud label that "
        "comes later resolves the payment again: from then on it is a fraud, the newest of the "
        "run, and its genuine resolution is in no window; the run that it broke stays broken."
    ),
    freshness=timedelta(hours=26),
    owner="team:sellers",
    personal=False,
)
