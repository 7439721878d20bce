"""The marketplace's landing contracts: every table that producers deliver.

Order: entities first, then events, then outcomes.
"""

from __future__ import annotations

from agora.schema import Column, Table

COUNTRY = Column("country", "string", "ISO 3166 two-letter country code.", max_length=2)
LATITUDE = Column("latitude", "number", "Degrees north.", nullable=True, minimum=-90, maximum=90)
LONGITUDE = Column("longitude", "number", "Degrees east.", nullable=True, minimum=-180, maximum=180)
NETWORKS = ("visa", "mastercard", "amex", "other")
CURRENCY = Column("currency", "string", "ISO 4217 code that amounts are in.", max_length=3)


def _identifier(name: str, description: str, *, nullable: bool = False) -> Column:
    return Column(name, "string", description, nullable=nullable, max_length=64)


MOST_TYPED = 1_000
"""Characters of a query that are kept: nobody types more, machines do."""
SESSION = _identifier("session_id", "Visit that it belongs to.")
SHOPPER = _identifier("customer_id", "Customer, if signed in.", nullable=True)

CUSTOMERS = Table(
    name="customers",
    grain="One row per customer and change of the customer's record.",
    columns=(
        _identifier("customer_id", "The customer."),
        Column("email", "string", "E-mail address.", nullable=True, personal=True),
        COUNTRY,
        LATITUDE,
        LONGITUDE,
    ),
    key=("customer_id",),
    owner="team:accounts",
    consumers=("fraud",),
)

MERCHANTS = Table(
    name="merchants",
    grain="One row per merchant (a seller, as payments see it) and change of its record.",
    columns=(
        _identifier("merchant_id", "The merchant."),
        Column("name", "string", "Trading name.", nullable=True),
        Column("category", "string", "Line of business.", max_length=64),
        COUNTRY,
        LATITUDE,
        LONGITUDE,
    ),
    key=("merchant_id",),
    owner="team:sellers",
    consumers=("fraud",),
)

CARDS = Table(
    name="cards",
    grain="One row per card and change of its record.",
    columns=(
        _identifier("card_id", "The card: a token, never its number."),
        _identifier("customer_id", "Customer who registered it."),
        Column(
            "network", "string", "Card network.", allowed=("visa", "mastercard", "amex", "other")
        ),
        Column("funding", "string", "How it is funded.", allowed=("debit", "credit", "prepaid")),
        Column("country", "string", "Issuer's country, ISO 3166.", max_length=2),
    ),
    key=("card_id",),
    owner="team:payments",
    consumers=("fraud",),
)

DEVICES = Table(
    name="devices",
    grain="One row per device and change of its record.",
    columns=(
        _identifier("device_id", "The device's fingerprint."),
        _identifier("customer_id", "Customer first seen on it."),
        Column("kind", "string", "Class of device.", allowed=("mobile", "desktop", "tablet")),
        Column("operating_system", "string", "Operating system.", max_length=32),
    ),
    key=("device_id",),
    owner="team:accounts",
    consumers=("fraud",),
)

PRODUCTS = Table(
    name="products",
    grain="One row per product and change of its record.",
    columns=(
        _identifier("product_id", "The product."),
        _identifier("merchant_id", "Merchant who sells it."),
        Column("category", "string", "Category.", max_length=64),
        Column("title", "string", "Title shown to customers."),
        Column("description", "string", "Text beside the title.", nullable=True, max_length=10_000),
        Column("price", "number", "Price of one piece.", minimum=0.01, maximum=1e6),
        CURRENCY,
        Column("stock", "integer", "Pieces in stock; empty: unlimited.", nullable=True, minimum=0),
    ),
    key=("product_id",),
    owner="team:catalogue",
    consumers=("recommendation", "search"),
)

ORDERS = Table(
    name="orders",
    grain="One row per order and correction of it.",
    columns=(
        _identifier("order_id", "The order."),
        _identifier("customer_id", "Customer who ordered."),
        _identifier("merchant_id", "Merchant who sells."),
        _identifier("product_id", "Product ordered."),
        Column("quantity", "integer", "Pieces.", minimum=1, maximum=10_000),
        Column("amount", "number", "Total, in the currency.", minimum=0.01, maximum=1e7),
        CURRENCY,
    ),
    key=("order_id",),
    owner="team:orders",
    frequency="continuous, landed daily",
    consumers=("fraud", "forecasting"),
)

PAYMENTS = Table(
    name="payments",
    grain="One row per payment and correction of it.",
    columns=(
        _identifier("payment_id", "The payment."),
        _identifier("order_id", "Order that it pays.", nullable=True),
        _identifier("customer_id", "Customer who pays."),
        _identifier("card_id", "Card that is charged."),
        _identifier("merchant_id", "Merchant who is paid."),
        _identifier("device_id", "Device that it was made on.", nullable=True),
        Column("amount", "number", "Amount, in the currency.", minimum=0, maximum=1e7),
        CURRENCY,
        Column("channel", "string", "Where it was made.", allowed=("web", "app", "in_store")),
        Column(
            "country",
            "string",
            "Country of the payer's connection or terminal.",
            True,
            max_length=2,
        ),
        LATITUDE,
        LONGITUDE,
    ),
    key=("payment_id",),
    owner="team:payments",
    frequency="continuous, landed daily",
    consumers=("fraud",),
)

CHARGEBACKS = Table(
    name="chargebacks",
    grain="One row per chargeback and change of it.",
    columns=(
        _identifier("chargeback_id", "The chargeback."),
        _identifier("payment_id", "Payment that is charged back."),
        Column("reason", "string", "Reason given by the issuer.", allowed=("fraud", "dispute")),
        Column("amount", "number", "Amount charged back.", minimum=0, maximum=1e7),
    ),
    key=("chargeback_id",),
    owner="team:payments",
    consumers=("fraud",),
)

VERDICTS = Table(
    name="verdicts",
    grain="One row per analyst's verdict on a payment and revision of it.",
    columns=(
        _identifier("verdict_id", "The verdict."),
        _identifier("payment_id", "Payment that was reviewed."),
        _identifier("analyst_id", "Analyst who decided."),
        Column("is_fraud", "boolean", "The verdict."),
    ),
    key=("verdict_id",),
    owner="team:fraud",
    frequency="hourly, landed daily",
    consumers=("fraud",),
)

SEARCHES = Table(
    name="searches",
    grain="One row per search that a customer made, and correction of it.",
    columns=(
        _identifier("search_id", "The search; also the id of the list that it showed."),
        SESSION,
        SHOPPER,
        Column("query", "string", "Words as they were typed.", max_length=MOST_TYPED),
        Column("results", "integer", "Products found; 0 for none.", minimum=0),
    ),
    key=("search_id",),
    owner="team:storefront",
    frequency="continuous, landed daily",
    consumers=("search",),
)

IMPRESSIONS = Table(
    name="impressions",
    grain="One row per product shown at a position of a list.",
    columns=(
        _identifier("impression_id", "The impression."),
        _identifier("list_id", "List that was shown: for a search its search_id."),
        Column("surface", "string", "Where the list was shown.", allowed=("home", "search")),
        SESSION,
        SHOPPER,
        _identifier("product_id", "Product shown."),
        Column("position", "integer", "Place in the list, from 1.", minimum=1, maximum=10_000),
        Column(
            "propensity",
            "number",
            "Probability that the policy which made the list put this product at this position.",
            nullable=True,
            minimum=0,
            maximum=1,
        ),
        Column("query", "string", "Words of the search.", nullable=True, max_length=MOST_TYPED),
    ),
    key=("impression_id",),
    owner="team:storefront",
    frequency="continuous, landed daily",
    consumers=("recommendation", "search"),
)

INTERACTIONS = Table(
    name="interactions",
    grain="One row per click on a product, product put into the cart, or purchase of it.",
    columns=(
        _identifier("interaction_id", "The interaction."),
        _identifier("list_id", "List that it came from, where known.", nullable=True),
        SESSION,
        SHOPPER,
        _identifier("product_id", "Product."),
        Column("kind", "string", "What was done.", allowed=("click", "cart", "purchase")),
    ),
    key=("interaction_id",),
    owner="team:storefront",
    frequency="continuous, landed daily",
    consumers=("recommendation", "search"),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        CUSTOMERS, MERCHANTS, CARDS, DEVICES, PRODUCTS, ORDERS, PAYMENTS, SEARCHES, IMPRESSIONS,
        INTERACTIONS, CHARGEBACKS, VERDICTS,
    )
}  # fmt: skip
