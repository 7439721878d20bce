"""Landing tables of entities, with changes of their records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agora.simulator import catalogue, people, texts
from agora.simulator.frames import constant, countries, framed, record_times, words_at
from agora.simulator.goods import NEVER
from agora.simulator.params import DAY
from agora.simulator.streams import stream

if TYPE_CHECKING:
    import polars as pl

    from agora.simulator.frames import Identifiers
    from agora.simulator.marketplace import Marketplace
    from agora.simulator.visitors import Devices
    from agora.simulator.world import World

UPDATED_SHARE = 0.02
MAIL_DOMAINS = ("mail.example", "post.example", "inbox.example")


def customers_frame(marketplace: Marketplace, ids: Identifiers) -> pl.DataFrame:
    """Customers as they joined, then those who moved."""
    customers, params = marketplace.customers, marketplace.params
    random = stream(params.seed, "customer records")
    moved = np.flatnonzero(customers.moved_at < params.end_at)
    rows = np.concatenate([np.arange(len(customers)), moved])
    domain = random.integers(0, len(MAIL_DOMAINS), len(customers))[rows]
    return framed(
        record_times(
            random, marketplace, np.concatenate([customers.joined_at, customers.moved_at[moved]])
        ),
        customer_id=ids.customers.gather(rows),
        email=ids.customers.gather(rows) + "@" + words_at(MAIL_DOMAINS, domain),
        country=countries(np.concatenate([customers.city, customers.new_city[moved]])),
        latitude=np.concatenate([customers.latitude, customers.new_latitude[moved]]),
        longitude=np.concatenate([customers.longitude, customers.new_longitude[moved]]),
    )


def merchants_frame(marketplace: Marketplace, ids: Identifiers) -> pl.DataFrame:
    """Merchants as they joined, then those who changed their name."""
    merchants, params = marketplace.merchants, marketplace.params
    random = stream(params.seed, "merchant records")
    moment = random.integers(params.start_at, params.end_at, len(merchants))
    renamed = np.flatnonzero(
        (random.random(len(merchants)) < UPDATED_SHARE) & (moment > merchants.joined_at + DAY)
    )
    rows = np.concatenate([np.arange(len(merchants)), renamed])
    suffix = np.repeat([0, 1], [len(merchants), len(renamed)])
    category = merchants.category[rows]
    return framed(
        record_times(random, marketplace, np.concatenate([merchants.joined_at, moment[renamed]])),
        merchant_id=ids.merchants.gather(rows),
        name=words_at([name.capitalize() for name in catalogue.NAMES], category)
        + " "
        + ids.merchants.gather(rows).str.slice(4).str.strip_chars_start("0")
        + words_at(("", " & Co"), suffix),
        category=words_at(catalogue.NAMES, category),
        country=countries(merchants.city[rows]),
        latitude=merchants.latitude[rows],
        longitude=merchants.longitude[rows],
    )


def cards_frame(marketplace: Marketplace, ids: Identifiers) -> pl.DataFrame:
    """Cards as they were registered."""
    cards = marketplace.cards
    random = stream(marketplace.params.seed, "card records")
    return framed(
        record_times(random, marketplace, cards.created_at),
        card_id=ids.cards,
        customer_id=ids.customers.gather(cards.customer),
        network=words_at(people.NETWORKS, cards.kind),
        funding=words_at(people.FUNDINGS, cards.variant),
        country=countries(marketplace.customers.city[cards.customer]),
    )


def devices_frame(marketplace: Marketplace, ids: Identifiers, devices: Devices) -> pl.DataFrame:
    """Devices as they were first seen."""
    random = stream(marketplace.params.seed, "device records")
    systems = [system for kind in people.SYSTEMS for system in kind]
    return framed(
        record_times(random, marketplace, devices.created_at),
        device_id=ids.devices,
        customer_id=ids.customers.gather(devices.customer),
        kind=words_at(people.KINDS, devices.kind),
        operating_system=words_at(systems, devices.kind * 2 + devices.variant),
    )


def products_frame(world: World) -> pl.DataFrame:
    """Products as they were listed, with new prices, launched, out of stock and back again.

    A seller's system tells its stock when a record is made, and when it runs out or comes back.
    """
    goods, params = world.goods, world.params
    known, count = len(world.marketplace.products.price), len(goods)
    repriced = np.flatnonzero(goods.repriced_at < params.end_at)
    old = np.concatenate([np.arange(known), repriced])
    times = np.concatenate([goods.created_at[:known], goods.repriced_at[repriced]])
    # Two streams: what was there before there was stock keeps its times.
    before = record_times(stream(params.seed, "product records"), world.marketplace, times)
    runs_out = np.flatnonzero(goods.out_at < NEVER)
    later = np.concatenate([np.arange(known, count), runs_out, runs_out])
    times = np.concatenate(
        [goods.created_at[known:], goods.out_at[runs_out], goods.back_at[runs_out]]
    )
    after = record_times(stream(params.seed, "stock records"), world.marketplace, times)
    rows = np.concatenate([old, later])
    event_at, arrived_at = (np.concatenate(pair) for pair in zip(before, after, strict=True))
    return framed(
        (event_at, arrived_at),
        product_id=world.product_ids.gather(rows),
        merchant_id=world.merchant_ids.gather(goods.merchant[rows]),
        category=words_at(catalogue.NAMES, goods.category[rows]),
        title=texts.titles(goods).gather(rows),
        description=texts.descriptions(goods).gather(rows),
        price=goods.price_at(rows, event_at),
        currency=constant(params.currency, len(rows)),
        stock=goods.stock_at(rows, event_at),
    )
