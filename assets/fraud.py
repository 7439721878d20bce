"""Fraud's assets: the life of its model, from payments and what became known of them."""

from agora.systems.fraud import SYSTEM
from assets.lifecycle import lifecycle

assets = lifecycle(SYSTEM, reads=["marts/payments", "marts/payment_labels"])
