"""The people, shops and things of one simulated marketplace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agora.simulator.catalogue import Merchants, Products, make_merchants, make_products
from agora.simulator.people import Belongings, Customers, make_cards, make_customers, make_devices

if TYPE_CHECKING:
    from agora.simulator.params import Params


@dataclass(frozen=True, slots=True)
class Marketplace:
    """Everything that exists before the first payment is drawn."""

    params: Params
    customers: Customers
    cards: Belongings
    devices: Belongings
    merchants: Merchants
    products: Products


def make_marketplace(params: Params) -> Marketplace:
    """Draw all entities."""
    customers, merchants = make_customers(params), make_merchants(params)
    return Marketplace(
        params=params,
        customers=customers,
        cards=make_cards(params, customers),
        devices=make_devices(params, customers),
        merchants=merchants,
        products=make_products(params, merchants),
    )
