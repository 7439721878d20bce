"""Rules: what an analyst would look for, in words. The baseline without learning, and reasons.

A rule is data: it holds where all its conditions hold. All rules are evaluated at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from agora.systems.fraud.features import INPUTS

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """An input at or above a level; an unknown input fulfils nothing."""

    name: str
    at_least: float


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern of fraud.

    Attributes:
        code: Stable name.
        text: What it means, for an analyst and for the customer's file.
        weight: Chance of fraud that it stands for, by itself; set by judgement, not fitted.
        conditions: What must hold, all of it.
    """

    code: str
    text: str
    weight: float
    conditions: tuple[Condition, ...]


RULES = (
    Rule(
        "amount_out_of_profile",
        "The amount is over three times the customer's mean and above anything in 30 days.",
        0.15,
        (
            Condition("customer_amount_over_amount_mean_30d", 3.0),
            Condition("customer_amount_over_amount_max_30d", 1.0),
        ),
    ),
    Rule(
        "amount_far_out_of_profile",
        "The amount is over five times the customer's mean.",
        0.35,
        (Condition("customer_amount_over_amount_mean_30d", 5.0),),
    ),
    Rule(
        "amount_unusual_for_customer",
        "The amount is five standard deviations above the customer's mean.",
        0.15,
        (Condition("customer_amount_deviation", 5.0),),
    ),
    Rule("large_amount", "The amount is 1,000 or more.", 0.02, (Condition("amount", 1_000.0),)),
    Rule(
        "merchant_with_frauds",
        "At least two payments at the merchant became known as fraud in 7 days.",
        0.10,
        (Condition("merchant_fraud_count_7d", 2.0),),
    ),
    Rule(
        "merchant_risky",
        "One in ten of the merchant's recent payments became known as fraud.",
        0.40,
        (
            Condition("merchant_fraud_share_7d", 0.10),
            Condition("merchant_fraud_count_7d", 2.0),
        ),
    ),
    Rule(
        "card_known_fraud",
        "A payment of the card became known as fraud in 7 days.",
        0.20,
        (Condition("card_fraud_count_7d", 1.0),),
    ),
    Rule(
        "card_burst",
        "Five payments with the card within an hour.",
        0.15,
        (Condition("card_payment_count_1h", 5.0),),
    ),
    Rule(
        "card_merchants_burst",
        "The card paid at three merchants within an hour.",
        0.15,
        (Condition("card_merchant_count_1h", 3.0),),
    ),
    Rule(
        "device_many_cards",
        "The device charged four cards in 30 days.",
        0.20,
        (Condition("device_card_count_30d", 4.0),),
    ),
    Rule(
        "device_known_fraud",
        "A payment from the device became known as fraud in 30 days.",
        0.20,
        (Condition("device_fraud_count_30d", 1.0),),
    ),
    Rule(
        "impossible_travel",
        "Over 900 km/h and 300 km from the customer's latest payment.",
        0.10,
        (Condition("speed", 900.0), Condition("distance_last", 300.0)),
    ),
    Rule(
        "night_spending",
        "At night, at several times the customer's usual spending.",
        0.05,
        (Condition("is_night", 1.0), Condition("customer_spending_pace", 5.0)),
    ),
)

_FLAT = [condition for rule in RULES for condition in rule.conditions]
_INPUT = np.array([INPUTS.index(condition.name) for condition in _FLAT])
_LEVEL = np.array([[condition.at_least] for condition in _FLAT])
_STARTS = np.cumsum([0, *(len(rule.conditions) for rule in RULES[:-1])])
_LOG_HONEST = np.log1p([-rule.weight for rule in RULES])


def hits(matrix: Array) -> Array:
    """Which rules hold, (n, len(RULES)), for decoded rows."""
    # NaN >= level is false: what is unknown accuses no one.
    held = matrix.T[_INPUT] >= _LEVEL
    return np.asarray(np.logical_and.reduceat(held, _STARTS, axis=0).T)


def rule_scores(matrix: Array) -> Array:
    """Chance of fraud by the rules alone, as independent witnesses: 1 - product of (1 - weight)."""
    return np.asarray(-np.expm1(hits(matrix) @ _LOG_HONEST))
