"""Which features search reads, and what it derives of query, product and customer.

Histories live in dbt. Here is only what needs both sides at once: how a product's text, category
and price stand to what was typed, and to what this customer looked at.
"""

from __future__ import annotations

from agora.entities.customers import CUSTOMER, CUSTOMERS_INTERESTS, CUSTOMERS_SHOPPING
from agora.entities.products import PRODUCT, PRODUCTS_DAILY
from agora.shopping.history import KEYS, KINDS, TIMES

ENTITIES = {CUSTOMER: "customer_id"}
ITEM = PRODUCT
FEATURE_SETS = (CUSTOMERS_INTERESTS, CUSTOMERS_SHOPPING)
ITEM_SETS = (PRODUCTS_DAILY,)
FEATURE_SET_IDS = tuple(each.id for each in (*FEATURE_SETS, *ITEM_SETS))

SPENT = "customer_clicked_price_mean_30d"

REQUEST = ("request_id", "query", "customer_id", "k", "filters", "facets", "session", "event_at")
READ = (*REQUEST, *KEYS.names, *KINDS.names, *TIMES.names, SPENT)
"""Columns that the pipeline reads."""

LOGGED = (
    "product_impression_count_7d", "product_impression_count_30d",
    "product_click_count_1d", "product_click_count_7d", "product_click_count_30d",
    "product_cart_count_30d",
    "product_purchase_count_7d", "product_purchase_count_30d",
    "product_customer_count_30d",
)  # fmt: skip
"""Counts of a product: read as log(1 + count)."""
RATES = ("product_click_rate_30d", "product_purchase_rate_30d", "product_days_since_purchase")
OF_ITEM = (*LOGGED, *RATES)

LEXICAL, SEMANTIC = "lexical", "semantic"
STRATEGIES = (LEXICAL, SEMANTIC)

OF_TEXT = (
    LEXICAL, "lexical_share", SEMANTIC, "semantic_gap", "fused",
    "title_coverage", "text_coverage", "title_share", "category_chance", "words",
)  # fmt: skip
OF_PRICE = ("log_price", "price_in_category", "over_ceiling", "if_cheap", "price_over_clicked")
OF_CUSTOMER = (
    "taste", "category_share", "seller_share", "met_count", "met_days_ago", "history_length",
)  # fmt: skip
TOLD = (*OF_PRICE[:2], *OF_ITEM, "popularity", "age_days")
"""Inputs that the index tells of a product, whoever asks: side by side they are read at once."""
INPUTS = (*OF_TEXT, *OF_PRICE, *OF_CUSTOMER, *OF_ITEM, "popularity", "age_days")
"""Inputs of the rankers, in the order of the matrix after request and item."""
