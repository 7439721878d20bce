"""Which features fraud uses, and what it derives from them and the payment.

Histories live in dbt. Here is what needs the payment itself: its ratio to the payer's own past, its
distance from where the payer usually is, its hour. The arithmetic is in `decoding`.
"""

from __future__ import annotations

from dataclasses import dataclass

from agora.entities.cards import CARD, CARDS_DAILY, CARDS_RECENT, CARDS_SEQUENCE
from agora.entities.customers import CUSTOMER, CUSTOMERS_DAILY, CUSTOMERS_RECENT
from agora.entities.devices import DEVICE, DEVICES_DAILY, DEVICES_RECENT
from agora.entities.merchants import MERCHANT, MERCHANTS_DAILY, MERCHANTS_LABELS, MERCHANTS_RECENT

ENTITIES = {
    CUSTOMER: "customer_id",
    CARD: "card_id",
    MERCHANT: "merchant_id",
    DEVICE: "device_id",
}
RECENT_SETS = (CUSTOMERS_RECENT, CARDS_RECENT, MERCHANTS_RECENT, DEVICES_RECENT)
LIGHT_SETS = (
    CUSTOMERS_DAILY, CARDS_DAILY, MERCHANTS_DAILY, MERCHANTS_LABELS, DEVICES_DAILY, *RECENT_SETS,
)  # fmt: skip
# The card's payments one by one are for the network alone.
FEATURE_SETS = (*LIGHT_SETS, CARDS_SEQUENCE)

WINDOW_SECONDS = {"5m": 300.0, "1h": 3_600.0, "24h": 86_400.0}
CODED = ("channel", "currency", "country")

# Days up to the moment of their row, which decoding counts on to the payment.
AGED_SET = MERCHANTS_LABELS
AGED = ("merchant_fraud_streak_days", "merchant_days_since_genuine")

# Coordinates only serve distances: a tree that splits on one learns a neighbourhood by heart.
POSITIONS = (
    "latitude", "customer_home_latitude", "merchant_latitude", "customer_last_latitude",
    "longitude", "customer_home_longitude", "merchant_longitude", "customer_last_longitude",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ratio:
    """A derived input: one column over another, NaN where the denominator is not positive."""

    name: str
    text: str
    numerator: str
    denominator: str
    scale: float = 1.0


def _ratios() -> tuple[Ratio, ...]:
    found = []
    for recent in RECENT_SETS:
        entity = recent.entity.name
        owner = f"{entity}'s"
        window = [name for name in recent.names if "payment_count" in name][-1].rpartition("_")[2]
        windows_a_month = 30 * 86_400 / WINDOW_SECONDS[window]
        found += [
            Ratio(
                f"{entity}_amount_over_{past}",
                f"Amount over the {owner} {text}.",
                "amount",
                f"{entity}_{past}",
            )
            for past, text in (
                ("amount_mean_7d", "mean of 7 days"),
                ("amount_mean_30d", "mean of 30 days"),
                ("amount_max_30d", "largest of 30 days"),
            )
        ]
        found += [
            Ratio(
                f"{entity}_pace",
                f"Payments in {window}, this one included, over the {owner} usual number.",
                f"{entity}_payment_count_{window}",
                f"{entity}_payment_count_30d",
                scale=windows_a_month,
            ),
            Ratio(
                f"{entity}_spending_pace",
                f"Amount paid in {window}, this payment included, over the {owner} usual amount.",
                f"{entity}_amount_sum_{window}",
                f"{entity}_amount_sum_30d",
                scale=windows_a_month,
            ),
        ]
    found += [
        Ratio(
            f"{entity}_amount_over_last",
            f"Amount over the {entity}'s latest one.",
            "amount",
            f"{entity}_last_amount",
        )
        for entity in ("customer", "card")
    ]
    return tuple(found)


RATIOS = _ratios()
DEVIATIONS = {
    f"{entity}_amount_deviation": (entity, f"Standard deviations above the {entity}'s mean amount.")
    for entity in ("customer", "card", "merchant", "device")
}
SINCE = {
    f"{feature_set.entity.name}_seconds_since_last": feature_set for feature_set in RECENT_SETS
}
# Name: text, first and second position.
DISTANCES = {
    "distance_home": ("Kilometres from the customer's home.", "", "customer_home_"),
    "distance_merchant": ("Kilometres from the merchant.", "", "merchant_"),
    "distance_last": ("Kilometres from the customer's latest payment.", "", "customer_last_"),
    "distance_home_merchant": (
        "Kilometres between the customer's home and the merchant.", "customer_home_", "merchant_"
    ),
}  # fmt: skip
CLOCK = {
    "hour": "Hour of the day, UTC.",
    "weekday": "Day of the week, Monday 0.",
    "is_weekend": "Saturday or Sunday.",
    "is_night": "From 0 to 6 UTC.",
}

HISTORY = tuple(
    column
    for feature_set in LIGHT_SETS
    for column in feature_set.columns
    if column not in POSITIONS
)
WINDOWED = tuple(
    column
    for feature_set in RECENT_SETS
    for column in feature_set.columns
    if column.rpartition("_")[2] in WINDOW_SECONDS
)
PLAIN = (*(column for column in HISTORY if column not in WINDOWED), "amount")

# What rules and the light model see, in order.
INPUTS = (
    *WINDOWED,
    *PLAIN,
    *SINCE,
    *(ratio.name for ratio in RATIOS),
    *DEVIATIONS,
    *DISTANCES,
    "speed",
    *CLOCK,
    *CODED,
)

TEXTS: dict[str, str] = {
    **{
        f"{feature_set.entity.name}_{feature.name}": (
            f"{feature_set.entity.name.capitalize()}: {feature.description}"
        )
        for feature_set in LIGHT_SETS
        for feature in feature_set.features
    },
    "amount": "Amount of the payment.",
    **{name: f"Seconds since the {s.entity.name}'s latest payment." for name, s in SINCE.items()},
    **{ratio.name: ratio.text for ratio in RATIOS},
    **{name: text for name, (_, text) in DEVIATIONS.items()},
    **{name: text for name, (text, _, _) in DISTANCES.items()},
    "speed": "Kilometres an hour since the customer's latest payment.",
    **CLOCK,
    **{name: f"{name.capitalize()} of the payment." for name in CODED},
}
"""What each input means, in words."""
