"""Fraud: approve, review or decline a payment while the customer waits.

Decision: approve, review (an analyst looks at it) or decline, by the expected cost of each.
Label: `is_fraud`; a chargeback names a fraud days to weeks later, an analyst's verdict hours later.
    A chargeback outranks a verdict; without either a payment counts as honest after 7 days.
Model: three tiers. Rules approve about half of the payments and decline a few, as long as they show
    at each training that they should. LightGBM on the history of customer, card, merchant and
    device and on the payment itself decides most of the rest. For the tenth of which it is
    unsure, a network on the card's latest payments, trained by focal loss, is stacked with it; with
    fewer than 30 known frauds there is none. All calibrated on later data; thresholds from costs.
Metric: average precision on the two weeks after calibration; the cost per payment beside it.
Gate: beats rules and logistic regression for certain, is not worse than its trees alone, the
    champion within a tolerance, calibrated.
Data: payments and labels of the marketplace; features of all four entities, daily and recent, and
    the card's sixteen latest payments.
Limits: knows a scheme only after its first labels; a customer's first payments are judged by
    merchant, device and amount alone; amounts of several currencies are compared as they are. What
    the safe list approves no model looks at: at most a tenth of the frauds may pass there.
"""

from __future__ import annotations

from pathlib import Path

from agora.adjustments import Adjusting
from agora.budgets import load_budgets
from agora.entities.devices import DEVICE
from agora.entities.merchants import MERCHANT
from agora.system import System
from agora.systems.fraud.backtest import report
from agora.systems.fraud.dataset import SPLIT, labelled, requests
from agora.systems.fraud.evaluation import GATE, evaluate
from agora.systems.fraud.features import ENTITIES, FEATURE_SETS
from agora.systems.fraud.outcomes import cost, outcomes
from agora.systems.fraud.pipeline import LABEL, FraudPipeline
from agora.systems.fraud.schema import Decision, Outcome, Payment
from agora.systems.fraud.verdicts import fresh_verdicts

SYSTEM = System(
    name="fraud",
    owner="team:fraud",
    contact="fraud@agora.example",
    decision="Approve, review or decline a payment.",
    request=Payment,
    response=Decision,
    entities=ENTITIES,
    feature_sets=FEATURE_SETS,
    label=LABEL,
    labelled=labelled,
    requests=requests,
    build=FraudPipeline,
    load=FraudPipeline.load,
    evaluate=evaluate,
    gate=GATE,
    split=SPLIT,
    report=Outcome,
    backtest=report,
    outcomes=outcomes,
    flagged=("review", "decline"),
    cost=cost,
    adjusting=Adjusting(entities=(MERCHANT, DEVICE), fresh=fresh_verdicts),
    budgets=load_budgets(Path(__file__).with_name("budgets.yml")),
    golden=(
        {
            "payment_id": "golden-known",
            "customer_id": "1",
            "card_id": "1",
            "merchant_id": "1",
            "device_id": "1",
            "amount": 24.9,
            "currency": "EUR",
            "channel": "web",
            "country": "FR",
            "latitude": 48.86,
            "longitude": 2.35,
        },
        {
            "payment_id": "golden-unknown",
            "customer_id": "nobody",
            "card_id": "none",
            "merchant_id": "nowhere",
            "amount": 9_999.0,
            "currency": "XXX",
            "channel": "app",
        },
    ),
)
