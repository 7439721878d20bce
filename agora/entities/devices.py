"""Devices and what their history says."""

from __future__ import annotations

from datetime import timedelta

from agora.entities.windows import daily_frauds, daily_payments, recent_payments
from agora.features import Entity, Feature, FeatureSet

DEVICE = Entity("device", "A device, known by its fingerprint.")

DEVICES_DAILY = FeatureSet(
    name="devices__daily",
    entity=DEVICE,
    features=(
        *daily_payments(),
        *daily_frauds(),
        Feature("customer_count_30d", "Different customers seen in the last 30 days.", 0.0),
        Feature("card_count_30d", "Different cards charged in the last 30 days.", 0.0),
        Feature("age_days", "Days since the device was first known.", 0.0),
    ),
    description="One row per device and day: use and known fraud at its closing midnight.",
    freshness=timedelta(hours=26),
    owner="team:accounts",
)

DEVICES_RECENT = FeatureSet(
    name="devices__recent",
    entity=DEVICE,
    features=(
        *recent_payments("5m", "1h", "24h"),
        Feature("card_count_24h", "Different cards charged in 24 hours.", 0.0),
    ),
    description="One row per device and arrived payment: the short windows as they then stood.",
    freshness=timedelta(hours=26),
    owner="team:accounts",
)
