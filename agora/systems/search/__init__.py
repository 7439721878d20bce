"""Search: the products that answer what a customer types.

Decision: which products to show for a query, in which order, of what the filters leave.
Label: `gain` of a shown product: 1 a click, 2 put into the cart, 3 bought out of that list; what
    nothing followed for a day counts as 0. A click far down counts for the looks that it lacked.
Model: words (BM25 over title, description and category, spelling corrected) and meaning (a packaged
    sentence encoder) find up to 800 products; a linear ranker orders them, LambdaRank the best 150:
    by text, guessed category, price, popularity and what this customer looked at.
Metric: nDCG@10 of logged lists of the latest week, whose clicks are weighted by the looks that
    their places get.
Gate: beats BM25 alone and plain fusion of words and meaning for certain, is not worse than the
    champion by more than a tolerance.
Data: searches, impressions and interactions of the marketplace, its catalogue; what was taken of
    each product, what each customer looked at.
Limits: reads one language; learns only of products that were shown; without the encoder it goes by
    words alone. Prices are compared as they are, whatever their currency.
"""

from __future__ import annotations

from pathlib import Path

from agora.budgets import load_budgets
from agora.entities.products import PRODUCT, READS, catalogue
from agora.items import Items
from agora.system import Page, System
from agora.systems.search.dataset import SPLIT, labelled, requests
from agora.systems.search.evaluation import GATE, evaluate
from agora.systems.search.features import ENTITIES, FEATURE_SETS, ITEM_SETS
from agora.systems.search.gate import index_gate
from agora.systems.search.measures import measures
from agora.systems.search.outcomes import outcomes
from agora.systems.search.pipeline import LABEL, SearchPipeline
from agora.systems.search.schema import Found, Outcome, Prefix, Search, Suggested
from agora.systems.search.suggest import suggest

SYSTEM = System(
    name="search",
    owner="team:search",
    contact="search@agora.example",
    decision="Which products to show for a query, in which order.",
    request=Search,
    response=Found,
    entities=ENTITIES,
    feature_sets=FEATURE_SETS,
    label=LABEL,
    labelled=labelled,
    requests=requests,
    build=SearchPipeline,
    load=SearchPipeline.load,
    evaluate=evaluate,
    gate=GATE,
    split=SPLIT,
    report=Outcome,
    outcomes=outcomes,
    items=Items(PRODUCT, "product_id", ITEM_SETS, catalogue, reads=READS, keyed_by="query"),
    index_gate=index_gate,
    measures=measures,
    path="/search",
    pages=(
        Page(
            path="/suggest",
            summary="How a query that was begun may go on.",
            params=Prefix,
            response=Suggested,
            answer=suggest,
        ),
    ),
    budgets=load_budgets(Path(__file__).with_name("budgets.yml")),
    golden=(
        {"request_id": "golden-usual", "query": "warm winter jacket", "customer_id": "1"},
        {"request_id": "golden-typo", "query": "wireles headphnes", "facets": True},
        {"request_id": "golden-nothing", "query": "xqzvwk"},
        {
            "request_id": "golden-filters",
            "query": "gift under 50",
            "filters": {"price_min": 5.0, "price_max": 200.0, "in_stock": True},
            "facets": True,
        },
    ),
)
