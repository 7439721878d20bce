"""Fraud's rules. Levels are set by judgement; `backtest` says what each is worth.

A change of conditions raises the version. A new rule that decides begins in shadow mode.
"""

from __future__ import annotations

from datetime import date

from agora.systems.fraud.rules import Rule, Rulebook, at_least, at_most, equals

FIRST, CASCADE = date(2026, 11, 20), date(2026, 11, 21)

APPROVING = (
    Rule(
        code="at_the_merchant",
        text="A known card at the merchant's own terminal, near home, at a usual amount.",
        action="approve",
        since=CASCADE,
        conditions=(
            at_most("distance_merchant", 1.0),
            at_most("distance_home", 100.0),
            at_least("card_payment_count_30d", 3.0),
            at_most("card_payment_count_1h", 2.0),
            at_most("card_fraud_count_30d", 0.0),
            at_most("customer_amount_over_amount_mean_30d", 3.0),
        ),
    ),
    Rule(
        code="own_device_usual_amount",
        text="From the customer's own device, near home, at an amount that is usual for them.",
        action="approve",
        since=CASCADE,
        conditions=(
            at_least("device_payment_count_30d", 2.0),
            at_most("device_customer_count_30d", 1.0),
            at_most("device_fraud_count_30d", 0.0),
            at_most("distance_home", 100.0),
            at_most("card_payment_count_1h", 1.0),
            at_most("customer_payment_count_1h", 1.0),
            at_most("card_fraud_count_30d", 0.0),
            at_most("customer_amount_over_amount_mean_30d", 1.5),
            at_most("merchant_fraud_count_7d", 0.0),
            at_most("merchant_fraud_streak", 0.0),
        ),
    ),
)

DECLINING = (
    Rule(
        code="device_of_frauds_far_away",
        text="At least two frauds of 30 days came from the device, and it is far from home.",
        action="decline",
        weight=0.90,
        since=CASCADE,
        conditions=(
            at_least("device_fraud_count_30d", 2.0),
            at_least("distance_home", 300.0),
        ),
    ),
    Rule(
        code="device_of_frauds",
        text="At least four of five payments from the device became known as fraud, two or more.",
        action="decline",
        weight=0.90,
        since=CASCADE,
        conditions=(
            at_least("device_fraud_count_30d", 2.0),
            at_least("device_fraud_share_30d", 0.8),
        ),
    ),
    Rule(
        code="card_of_frauds_far_away",
        text="At least two frauds of the card became known in 7 days, and it is far from home.",
        action="decline",
        weight=0.85,
        since=CASCADE,
        conditions=(
            at_least("card_fraud_count_7d", 2.0),
            at_least("distance_home", 300.0),
        ),
    ),
    Rule(
        code="card_burst_far_away",
        text="Three payments with the card within an hour, far from home.",
        action="decline",
        mode="shadow",
        weight=0.45,
        since=CASCADE,
        conditions=(
            at_least("card_payment_count_1h", 3.0),
            at_least("distance_home", 500.0),
        ),
    ),
)

SPEAKING = (
    Rule(
        code="amount_out_of_profile",
        text="The amount is over three times the customer's mean and above anything in 30 days.",
        weight=0.15,
        since=FIRST,
        conditions=(
            at_least("customer_amount_over_amount_mean_30d", 3.0),
            at_least("customer_amount_over_amount_max_30d", 1.0),
        ),
    ),
    Rule(
        code="amount_far_out_of_profile",
        text="The amount is over five times the customer's mean.",
        weight=0.35,
        since=FIRST,
        conditions=(at_least("customer_amount_over_amount_mean_30d", 5.0),),
    ),
    Rule(
        code="amount_unusual_for_customer",
        text="The amount is five standard deviations above the customer's mean.",
        weight=0.15,
        since=FIRST,
        conditions=(at_least("customer_amount_deviation", 5.0),),
    ),
    Rule(
        code="large_amount",
        text="The amount is 1,000 or more.",
        weight=0.02,
        since=FIRST,
        conditions=(at_least("amount", 1_000.0),),
    ),
    Rule(
        code="merchant_with_frauds",
        text="At least two payments at the merchant became known as fraud in 7 days.",
        weight=0.10,
        since=FIRST,
        conditions=(at_least("merchant_fraud_count_7d", 2.0),),
    ),
    Rule(
        code="merchant_risky",
        text="One in ten of the merchant's recent payments became known as fraud.",
        weight=0.40,
        since=FIRST,
        conditions=(
            at_least("merchant_fraud_share_7d", 0.10),
            at_least("merchant_fraud_count_7d", 2.0),
        ),
    ),
    Rule(
        code="card_known_fraud",
        text="A payment of the card became known as fraud in 7 days.",
        weight=0.20,
        since=FIRST,
        conditions=(at_least("card_fraud_count_7d", 1.0),),
    ),
    Rule(
        code="card_burst",
        text="Five payments with the card within an hour.",
        weight=0.15,
        since=FIRST,
        conditions=(at_least("card_payment_count_1h", 5.0),),
    ),
    Rule(
        code="card_merchants_burst",
        text="The card paid at three merchants within an hour.",
        weight=0.15,
        since=FIRST,
        conditions=(at_least("card_merchant_count_1h", 3.0),),
    ),
    Rule(
        code="device_many_cards",
        text="The device charged four cards in 30 days.",
        weight=0.20,
        since=FIRST,
        conditions=(at_least("device_card_count_30d", 4.0),),
    ),
    Rule(
        code="device_known_fraud",
        text="A payment from the device became known as fraud in 30 days.",
        weight=0.20,
        since=FIRST,
        conditions=(at_least("device_fraud_count_30d", 1.0),),
    ),
    Rule(
        code="impossible_travel",
        text="Over 900 km/h and 300 km from the customer's latest payment.",
        weight=0.10,
        since=FIRST,
        conditions=(at_least("speed", 900.0), at_least("distance_last", 300.0)),
    ),
    Rule(
        code="night_spending",
        text="At night, at several times the customer's usual spending.",
        weight=0.05,
        since=FIRST,
        conditions=(equals("is_night", 1.0), at_least("customer_spending_pace", 5.0)),
    ),
)

# Who declines is asked first, then who approves.
BOOK = Rulebook((*DECLINING, *APPROVING, *SPEAKING))
RULES = BOOK.rules
