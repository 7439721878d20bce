"""The marketplace's entities and their feature sets, each built by the dbt model of its name.

Themes. `daily`: windows that end at a midnight, one row per entity and day, computed
by the day's batch; of payments, for products of what customers do with them. `shopping`: the same
of what a customer does with products. `recent`: windows that end at the entity's latest payment,
one row per payment that arrived. `sequence`: the entity's latest payments one by one, at the same
moments; `interests`: a customer's latest clicks, carts and purchases, when one arrived. `labels`:
what became known of its payments, one row per moment at which one resolved.
"""

from __future__ import annotations

from agora.entities.cards import CARDS_DAILY, CARDS_RECENT, CARDS_SEQUENCE
from agora.entities.customers import (
    CUSTOMERS_DAILY,
    CUSTOMERS_INTERESTS,
    CUSTOMERS_RECENT,
    CUSTOMERS_SHOPPING,
)
from agora.entities.devices import DEVICES_DAILY, DEVICES_RECENT
from agora.entities.merchants import MERCHANTS_DAILY, MERCHANTS_LABELS, MERCHANTS_RECENT
from agora.entities.products import PRODUCTS_DAILY

FEATURE_SETS = {
    feature_set.name: feature_set
    for feature_set in (
        CUSTOMERS_DAILY, CUSTOMERS_RECENT, CARDS_DAILY, CARDS_RECENT, CARDS_SEQUENCE,
        MERCHANTS_DAILY, MERCHANTS_RECENT, MERCHANTS_LABELS, DEVICES_DAILY, DEVICES_RECENT,
        CUSTOMERS_INTERESTS, CUSTOMERS_SHOPPING, PRODUCTS_DAILY,
    )
}  # fmt: skip
