"""Landing tables of a simulation, one function each. Truth is not among their columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from agora.simulator import catalogue, geography, people
from agora.simulator.arrays import CHANNELS, IN_STORE, Floats, Ints, Payments
from agora.simulator.arrivals import prompt
from agora.simulator.outcomes import REASONS
from agora.simulator.streams import stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.simulator.arrivals import Deliveries
    from agora.simulator.marketplace import Marketplace
    from agora.simulator.orders import Orders
    from agora.simulator.outcomes import Chargebacks, Verdicts
    from agora.simulator.visitors import Devices

UNKNOWN_PLACE_SHARE = 0.015
CONNECTION_SPREAD = 0.03
UPDATED_SHARE = 0.02
MAIL_DOMAINS = ("mail.example", "post.example", "inbox.example")


@dataclass(frozen=True, slots=True)
class Identifiers:
    """Identifiers by position, one series for each kind of thing."""

    customers: pl.Series
    merchants: pl.Series
    cards: pl.Series
    devices: pl.Series
    products: pl.Series
    orders: pl.Series
    payments: pl.Series


def identifiers(prefix: str, event_at: Ints) -> pl.Series:
    """Identifiers numbered by time, so that neither a name nor an order betrays the truth."""
    rank = np.empty(len(event_at), dtype=np.int64)
    rank[np.argsort(event_at, kind="stable")] = np.arange(1, len(event_at) + 1)
    # Twelve characters: Polars and Arrow keep such strings inline.
    return pl.select(
        pl.lit(f"{prefix}_") + pl.Series(rank).cast(pl.String).str.zfill(8)
    ).to_series()


def name_all(marketplace: Marketplace, devices: Devices, payments: Payments) -> Identifiers:
    """Identifiers of everything."""
    return Identifiers(
        customers=identifiers("cus", marketplace.customers.joined_at),
        merchants=identifiers("mer", marketplace.merchants.joined_at),
        cards=identifiers("crd", marketplace.cards.created_at),
        devices=identifiers("dev", devices.created_at),
        products=identifiers("prd", marketplace.products.created_at),
        orders=identifiers("ord", payments.event_at),
        payments=identifiers("pay", payments.event_at),
    )


def customers_frame(marketplace: Marketplace, ids: Identifiers) -> pl.DataFrame:
    """Customers as they joined, then those who moved."""
    customers, params = marketplace.customers, marketplace.params
    random = stream(params.seed, "customer records")
    moved = np.flatnonzero(customers.moved_at < params.end_at)
    rows = np.concatenate([np.arange(len(customers)), moved])
    domain = random.integers(0, len(MAIL_DOMAINS), len(customers))[rows]
    return _frame(
        _created(
            random, marketplace, np.concatenate([customers.joined_at, customers.moved_at[moved]])
        ),
        customer_id=ids.customers.gather(rows),
        email=ids.customers.gather(rows) + "@" + _words(MAIL_DOMAINS, domain),
        country=_countries(np.concatenate([customers.city, customers.new_city[moved]])),
        latitude=np.concatenate([customers.latitude, customers.new_latitude[moved]]),
        longitude=np.concatenate([customers.longitude, customers.new_longitude[moved]]),
    )


def merchants_frame(marketplace: Marketplace, ids: Identifiers) -> pl.DataFrame:
    """Merchants as they joined, then those who changed their name."""
    merchants, params = marketplace.merchants, marketplace.params
    random = stream(params.seed, "merchant records")
    moment = random.integers(params.start_at, params.end_at, len(merchants))
    renamed = np.flatnonzero(
        (random.random(len(merchants)) < UPDATED_SHARE) & (moment > merchants.joined_at)
    )
    rows = np.concatenate([np.arange(len(merchants)), renamed])
    suffix = np.repeat([0, 1], [len(merchants), len(renamed)])
    category = merchants.category[rows]
    return _frame(
        _created(random, marketplace, np.concatenate([merchants.joined_at, moment[renamed]])),
        merchant_id=ids.merchants.gather(rows),
        name=_words([name.capitalize() for name in catalogue.NAMES], category)
        + " "
        + ids.merchants.gather(rows).str.slice(4).str.strip_chars_start("0")
        + _words(("", " & Co"), suffix),
        category=_words(catalogue.NAMES, category),
        country=_countries(merchants.city[rows]),
        latitude=merchants.latitude[rows],
        longitude=merchants.longitude[rows],
    )


def cards_frame(marketplace: Marketplace, ids: Identifiers) -> pl.DataFrame:
    """Cards as they were registered."""
    cards = marketplace.cards
    random = stream(marketplace.params.seed, "card records")
    return _frame(
        _created(random, marketplace, cards.created_at),
        card_id=ids.cards,
        customer_id=ids.customers.gather(cards.customer),
        network=_words(people.NETWORKS, cards.kind),
        funding=_words(people.FUNDINGS, cards.variant),
        country=_countries(marketplace.customers.city[cards.customer]),
    )


def devices_frame(marketplace: Marketplace, ids: Identifiers, devices: Devices) -> pl.DataFrame:
    """Devices as they were first seen."""
    random = stream(marketplace.params.seed, "device records")
    systems = [system for kind in people.SYSTEMS for system in kind]
    return _frame(
        _created(random, marketplace, devices.created_at),
        device_id=ids.devices,
        customer_id=ids.customers.gather(devices.customer),
        kind=_words(people.KINDS, devices.kind),
        operating_system=_words(systems, devices.kind * 2 + devices.variant),
    )


def products_frame(marketplace: Marketplace, ids: Identifiers) -> pl.DataFrame:
    """Products as they were listed, then those with a new price."""
    products, merchants = marketplace.products, marketplace.merchants
    params = marketplace.params
    random = stream(params.seed, "product records")
    repriced = np.flatnonzero(products.repriced_at < params.end_at)
    rows = np.concatenate([np.arange(len(products.price)), repriced])
    category = merchants.category[products.merchant[rows]]
    width = catalogue.WORDS.shape[1]
    return _frame(
        _created(
            random,
            marketplace,
            np.concatenate([products.created_at, products.repriced_at[repriced]]),
        ),
        product_id=ids.products.gather(rows),
        merchant_id=ids.merchants.gather(products.merchant[rows]),
        category=_words(catalogue.NAMES, category),
        title=_words(catalogue.WORDS.ravel().tolist(), category * width + products.word[rows])
        + " "
        + ids.products.gather(rows).str.slice(4).str.strip_chars_start("0"),
        price=np.concatenate([products.price, products.new_price[repriced]]),
        currency=_constant(params.currency, len(rows)),
    )


def orders_frame(
    marketplace: Marketplace, ids: Identifiers, payments: Payments, orders: Orders
) -> pl.DataFrame:
    """Orders as they were placed."""
    random = stream(marketplace.params.seed, "order records")
    return _frame(
        (orders.event_at, prompt(random, orders.event_at)),
        order_id=ids.orders,
        customer_id=ids.customers.gather(payments.customer),
        merchant_id=ids.merchants.gather(payments.merchant),
        product_id=ids.products.gather(orders.product),
        quantity=orders.quantity,
        amount=orders.amount,
        currency=_constant(marketplace.params.currency, len(payments)),
    )


def payments_frame(
    marketplace: Marketplace, ids: Identifiers, payments: Payments, deliveries: Deliveries
) -> pl.DataFrame:
    """Payments and their corrections."""
    rows = deliveries.payment
    latitude, longitude, is_known = _places(marketplace, payments)
    country = _countries(payments.city)
    frame = pl.DataFrame(
        {
            "payment_id": ids.payments,
            "order_id": ids.orders,
            "customer_id": ids.customers.gather(payments.customer),
            "card_id": ids.cards.gather(payments.card),
            "merchant_id": ids.merchants.gather(payments.merchant),
            "device_id": ids.devices.gather(np.maximum(payments.device, 0)),
            "currency": _constant(marketplace.params.currency, len(payments)),
            "channel": _words(CHANNELS, payments.channel),
            "country": country,
            "latitude": latitude,
            "longitude": longitude,
            "has_device": payments.device >= 0,
            "is_known": is_known,
            "event_at": payments.event_at,
        }
    ).with_columns(
        pl.when("has_device").then("device_id").alias("device_id"),
        *(pl.when("is_known").then(name).alias(name) for name in ("latitude", "longitude")),
    )
    frame = frame[rows].with_columns(
        amount=pl.Series(deliveries.amount), arrived_at=pl.Series(deliveries.arrived_at)
    )
    return _timed(frame.drop("has_device", "is_known"))


def chargebacks_frame(
    marketplace: Marketplace, ids: Identifiers, chargebacks: Chargebacks
) -> pl.DataFrame:
    """Chargebacks."""
    return _frame(
        (chargebacks.event_at, chargebacks.arrived_at),
        chargeback_id=identifiers("cbk", chargebacks.event_at),
        payment_id=ids.payments.gather(chargebacks.payment),
        reason=_words(REASONS, chargebacks.reason),
        amount=chargebacks.amount,
    )


def verdicts_frame(marketplace: Marketplace, ids: Identifiers, verdicts: Verdicts) -> pl.DataFrame:
    """Verdicts and their revisions."""
    reviews = int(verdicts.review.max(initial=-1)) + 1
    return _frame(
        (verdicts.event_at, verdicts.arrived_at),
        verdict_id=identifiers("vrd", verdicts.event_at[:reviews]).gather(verdicts.review),
        payment_id=ids.payments.gather(verdicts.payment),
        analyst_id=_words([f"ana_{number:02d}" for number in range(1, 13)], verdicts.analyst),
        is_fraud=verdicts.is_fraud,
    )


def _places(marketplace: Marketplace, payments: Payments) -> tuple[Floats, Floats, Ints]:
    """Where each payment's connection or terminal is, and whether that is known."""
    customers, merchants = marketplace.customers, marketplace.merchants
    random = stream(marketplace.params.seed, "places")
    customer = payments.customer
    latitude, longitude = geography.scatter(random, payments.city, geography.HOME_SPREAD)
    shift = random.normal(0.0, CONNECTION_SPREAD, (2, len(payments)))
    moved = payments.event_at >= customers.moved_at[customer]
    at_home = payments.city == customers.home_at(customer, payments.event_at)
    homes = (
        np.where(moved, customers.new_latitude[customer], customers.latitude[customer]) + shift[0],
        np.where(moved, customers.new_longitude[customer], customers.longitude[customer])
        + shift[1],
    )
    latitude, longitude = (
        np.where(at_home, home, place)
        for home, place in zip(homes, (latitude, longitude), strict=True)
    )
    in_store = payments.channel == IN_STORE
    latitude = np.where(in_store, merchants.latitude[payments.merchant], np.round(latitude, 4))
    longitude = np.where(in_store, merchants.longitude[payments.merchant], np.round(longitude, 4))
    is_known = in_store | (random.random(len(payments)) >= UNKNOWN_PLACE_SHARE)
    return latitude, longitude, is_known


def _created(
    random: np.random.Generator, marketplace: Marketplace, event_at: Ints
) -> tuple[Ints, Ints]:
    """Times of records: what is older than the simulation arrives when it starts."""
    return event_at, np.maximum(prompt(random, event_at), marketplace.params.start_at)


def _frame(times: tuple[Ints, Ints], **columns: pl.Series | Ints | Floats) -> pl.DataFrame:
    return _timed(pl.DataFrame({**columns, "event_at": times[0], "arrived_at": times[1]}))


def _timed(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("event_at", "arrived_at").cast(pl.Datetime("us", "UTC")))


def _words(words: Sequence[str], positions: Ints) -> pl.Series:
    return pl.Series(list(words), dtype=pl.String).gather(positions)


def _countries(city: Ints) -> pl.Series:
    return _words(geography.COUNTRIES, geography.COUNTRY_OF[city])


def _constant(value: str, count: int) -> pl.Series:
    return pl.Series([value], dtype=pl.String).new_from_index(0, count)
