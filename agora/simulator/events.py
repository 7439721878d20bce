"""Landing tables of events: orders, payments and what becomes of them. Truth is in no column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from agora.simulator import geography
from agora.simulator.arrays import CHANNELS, IN_STORE, Bools, Floats, Payments
from agora.simulator.frames import (
    constant,
    countries,
    framed,
    identifiers,
    record_times,
    timed,
    words_at,
)
from agora.simulator.outcomes import ANALYSTS, REASONS
from agora.simulator.streams import stream

if TYPE_CHECKING:
    from agora.simulator.arrivals import Deliveries
    from agora.simulator.frames import Identifiers
    from agora.simulator.marketplace import Marketplace
    from agora.simulator.orders import Orders
    from agora.simulator.outcomes import Chargebacks, Verdicts

UNKNOWN_PLACE_SHARE = 0.015
CONNECTION_SPREAD = 0.03


def orders_frame(
    marketplace: Marketplace, ids: Identifiers, payments: Payments, orders: Orders
) -> pl.DataFrame:
    """Orders as they were placed."""
    random = stream(marketplace.params.seed, "order records")
    return framed(
        record_times(random, marketplace, orders.event_at),
        order_id=ids.orders,
        customer_id=ids.customers.gather(payments.customer),
        merchant_id=ids.merchants.gather(payments.merchant),
        product_id=ids.products.gather(orders.product),
        quantity=orders.quantity,
        amount=orders.amount,
        currency=constant(marketplace.params.currency, len(payments)),
    )


def payments_frame(
    marketplace: Marketplace, ids: Identifiers, payments: Payments, deliveries: Deliveries
) -> pl.DataFrame:
    """Payments and their corrections."""
    rows = deliveries.payment
    latitude, longitude, is_known = _places(marketplace, payments)
    country = countries(payments.city)
    frame = pl.DataFrame(
        {
            "payment_id": ids.payments,
            "order_id": ids.orders,
            "customer_id": ids.customers.gather(payments.customer),
            "card_id": ids.cards.gather(payments.card),
            "merchant_id": ids.merchants.gather(payments.merchant),
            "device_id": ids.devices.gather(np.maximum(payments.device, 0)),
            "currency": constant(marketplace.params.currency, len(payments)),
            "channel": words_at(CHANNELS, payments.channel),
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
    return timed(frame.drop("has_device", "is_known"))


def chargebacks_frame(
    marketplace: Marketplace, ids: Identifiers, chargebacks: Chargebacks
) -> pl.DataFrame:
    """Chargebacks."""
    return framed(
        (chargebacks.event_at, chargebacks.arrived_at),
        chargeback_id=identifiers("cbk", chargebacks.event_at),
        payment_id=ids.payments.gather(chargebacks.payment),
        reason=words_at(REASONS, chargebacks.reason),
        amount=chargebacks.amount,
    )


def verdicts_frame(marketplace: Marketplace, ids: Identifiers, verdicts: Verdicts) -> pl.DataFrame:
    """Verdicts and their revisions."""
    reviews = int(verdicts.review.max(initial=-1)) + 1
    return framed(
        (verdicts.event_at, verdicts.arrived_at),
        verdict_id=identifiers("vrd", verdicts.event_at[:reviews]).gather(verdicts.review),
        payment_id=ids.payments.gather(verdicts.payment),
        analyst_id=words_at(
            [f"ana_{number:02d}" for number in range(1, ANALYSTS + 1)], verdicts.analyst
        ),
        is_fraud=verdicts.is_fraud,
    )


def _places(marketplace: Marketplace, payments: Payments) -> tuple[Floats, Floats, Bools]:
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
