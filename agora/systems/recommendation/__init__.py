"""Recommendation: which products a visitor sees on the home page.

Decision: an ordered list of products for one visit, of which one place in ten tries something out.
Label: what followed from a list and product: 0 nothing, 1 a click, 2 a cart, 3 a purchase; nothing
    within a day counts as nothing.
Model: five strategies find about a thousand products (two towers, factored EASE, content, popular,
    new). A linear ranker leaves two hundred of them to LightGBM's LambdaRank, which learned from
    clicks weighted by how little their places are looked at. The list keeps to a seller's share, is
    diverse, holds a new product in ten, and explores with known chances.
Metric: nDCG@10 on later lists, clicks far down counting for the looks that they lacked.
Gate: beats most popular and item-to-item for certain, the champion within a tolerance.
Data: lists of the home page and what came of them; customers' latest interactions and habits;
    products with what was shown and taken of them; what this visit has done, from the request.
Limits: learns from what was shown, so what never was is judged by its text, category and price
    alone; prices are compared across currencies as they are; a stranger without a session gets what
    is popular and new.
"""

from __future__ import annotations

from pathlib import Path

from agora.budgets import load_budgets
from agora.entities.products import READS, catalogue
from agora.items import Items
from agora.retraining import Retraining
from agora.system import System
from agora.systems.recommendation.dataset import SPLIT, labelled, requests
from agora.systems.recommendation.evaluation import GATE, evaluate
from agora.systems.recommendation.features import ENTITIES, FEATURE_SETS, ITEM, ITEM_SETS
from agora.systems.recommendation.gate import index_gate
from agora.systems.recommendation.outcomes import outcomes
from agora.systems.recommendation.pipeline import LABEL, RecommendationPipeline
from agora.systems.recommendation.schema import Listed, Outcome, Visit

SYSTEM = System(
    name="recommendation",
    owner="team:recommendation",
    contact="recommendation@agora.example",
    decision="Choose the products of a visitor's home page.",
    request=Visit,
    response=Listed,
    entities=ENTITIES,
    feature_sets=FEATURE_SETS,
    label=LABEL,
    labelled=labelled,
    requests=requests,
    build=RecommendationPipeline,
    load=RecommendationPipeline.load,
    evaluate=evaluate,
    gate=GATE,
    split=SPLIT,
    report=Outcome,
    outcomes=outcomes,
    items=Items(ITEM, "product_id", ITEM_SETS, catalogue, reads=READS, keyed_by="customer_id"),
    index_gate=index_gate,
    path="/recommend",
    # The towers go on from yesterday's; a week of that, then all is learned anew.
    retraining=Retraining(most_warm=6),
    budgets=load_budgets(Path(__file__).with_name("budgets.yml")),
    golden=(
        {"request_id": "golden-known", "customer_id": "1", "k": 12, "country": "FR"},
        {"request_id": "golden-unknown", "customer_id": "nobody"},
        {
            "request_id": "golden-nothing",
            "customer_id": "1",
            "filters": {"category": "no such category", "price_max": 1.0},
        },
        {
            "request_id": "golden-session",
            "session": [
                {"product_id": "1", "kind": "click"},
                {"product_id": "no such product", "kind": "cart", "at": "2026-03-01T12:00:00Z"},
            ],
        },
    ),
)
