"""Which features recommendation reads, and what it derives of request, history and product.

Histories live in dbt. Here is only what needs both sides at once: how a product's category, seller
and price stand to what this customer looked at.
"""

from __future__ import annotations

from agora.columns import Gather
from agora.entities.customers import CUSTOMER, CUSTOMERS_INTERESTS, CUSTOMERS_SHOPPING
from agora.entities.products import PRODUCT, PRODUCTS_DAILY
from agora.shopping.history import KEYS, KINDS, TIMES

ENTITIES = {CUSTOMER: "customer_id"}
ITEM = PRODUCT
FEATURE_SETS = (CUSTOMERS_INTERESTS, CUSTOMERS_SHOPPING)
ITEM_SETS = (PRODUCTS_DAILY,)
FEATURE_SET_IDS = tuple(each.id for each in (*FEATURE_SETS, *ITEM_SETS))

SPENT = "customer_clicked_price_mean_30d"
COUNTS = (
    "customer_click_count_7d", "customer_click_count_30d", "customer_cart_count_30d",
    "customer_purchase_count_30d", "customer_category_count_30d",
)  # fmt: skip
OF_CUSTOMER = Gather((*COUNTS, SPENT))

REQUEST = ("request_id", "customer_id", "k", "filters", "session", "event_at")
READ = (*REQUEST, *KEYS.names, *KINDS.names, *TIMES.names, *OF_CUSTOMER.names)
"""Columns that the pipeline reads."""

LOGGED = (
    "product_impression_count_1d", "product_impression_count_7d", "product_impression_count_30d",
    "product_click_count_1d", "product_click_count_7d", "product_click_count_30d",
    "product_cart_count_7d", "product_cart_count_30d",
    "product_purchase_count_1d", "product_purchase_count_7d", "product_purchase_count_30d",
    "product_customer_count_30d",
)  # fmt: skip
"""Counts of a product: read as log(1 + count)."""
# A new product is younger than the window, so that the count is of its whole life.
SHOWN = LOGGED.index("product_impression_count_30d")
RATES = (
    "product_click_rate_30d", "product_purchase_rate_30d", "product_days_since_purchase",
)  # fmt: skip
OF_ITEM = (*LOGGED, *RATES)

TOWERS, COLLABORATIVE, CONTENT = "towers", "collaborative", "content"
POPULAR, NEW = "popular", "new"
STRATEGIES = (TOWERS, COLLABORATIVE, CONTENT, POPULAR, NEW)

TOLD = (POPULAR, *OF_ITEM, "age_days", "log_price")
"""Inputs that the index tells of a product, whoever asks: side by side they are read at once."""
INPUTS = (
    TOWERS, COLLABORATIVE, CONTENT,
    *TOLD,
    "price_over_clicked", "category_share", "category_share_latest", "seller_share", "met_count",
    "met_deepest", "met_days_ago",
    "history_length", "latest_minutes_ago",
    *COUNTS,
)  # fmt: skip
"""Inputs of the rankers, in the order of the matrix after request and item."""
