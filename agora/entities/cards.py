"""Cards and what their history says."""

from __future__ import annotations

from datetime import timedelta

from agora.entities.sequences import latest_payments
from agora.entities.windows import daily_frauds, daily_payments, recent_payments
from agora.features import Entity, Feature, FeatureSet

SEQUENCE_LENGTH = 16

CARD = Entity("card", "A payment card, known by its token.")

CARDS_DAILY = FeatureSet(
    name="cards__daily",
    entity=CARD,
    features=(*daily_payments(), *daily_frauds()),
    description="One row per card and day: spending and known fraud at its closing midnight.",
    freshness=timedelta(hours=26),
    owner="team:payments",
)

CARDS_RECENT = FeatureSet(
    name="cards__recent",
    entity=CARD,
    features=(
        *recent_payments("5m", "1h", "24h"),
        Feature("merchant_count_1h", "Different merchants paid in 1 hour.", 0.0),
        Feature("last_amount", "Amount of the latest payment."),
    ),
    description="One row per card and arrived payment: the short windows as they then stood.",
    freshness=timedelta(hours=26),
    owner="team:payments",
)

CARDS_SEQUENCE = FeatureSet(
    name="cards__sequence",
    entity=CARD,
    features=latest_payments(SEQUENCE_LENGTH),
    description=(
        f"One row per card and arrived payment: the card's {SEQUENCE_LENGTH} latest payments as "
        "then known, of the last 60 days."
    ),
    freshness=timedelta(hours=26),
    owner="team:payments",
)
