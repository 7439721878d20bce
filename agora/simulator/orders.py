"""What is bought: the product and pieces that come nearest to what the payer has in mind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agora.simulator.arrays import IN_STORE, Floats, Ints, Payments
from agora.simulator.catalogue import NAMES
from agora.simulator.params import MINUTE
from agora.simulator.streams import stream

if TYPE_CHECKING:
    from agora.simulator.marketplace import Marketplace

MOST_PIECES = 20
SHIPPING = np.array([0.0, 2.99, 4.99, 6.99])
SHIPPING_SHARES = (0.55, 0.20, 0.17, 0.08)
SHIPPING_AT_MOST = 0.25
"""Of the order's amount: nobody ships a comic for twice its price."""
TIP_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class Orders:
    """One order for each payment, in the same order; `charged` is what the payment takes."""

    event_at: Ints
    product: Ints
    quantity: Ints
    amount: Floats
    charged: Floats


def order(marketplace: Marketplace, payments: Payments) -> Orders:
    """Orders that the payments pay."""
    random = stream(marketplace.params.seed, "orders")
    products = marketplace.products
    # One sorted key for all catalogues: merchant first, price within.
    key = products.merchant * 100.0 + np.log(products.price)
    reach = np.log(np.maximum(payments.wanted, 0.5)) - random.exponential(0.4, len(payments))
    product = np.searchsorted(key, payments.merchant * 100.0 + reach, side="right") - 1
    product = np.clip(
        product, products.first[payments.merchant], products.first[payments.merchant + 1] - 1
    )
    price = products.price_at(product, payments.event_at)
    quantity = np.clip(np.rint(payments.wanted / price), 1, MOST_PIECES).astype(np.int64)
    amount = np.round(price * quantity, 2)
    before = random.integers(MINUTE, 10 * MINUTE, len(payments))
    return Orders(
        event_at=payments.event_at - before,
        product=product,
        quantity=quantity,
        amount=amount,
        charged=_charged(random, marketplace, payments, amount),
    )


def _charged(
    random: np.random.Generator, marketplace: Marketplace, payments: Payments, amount: Floats
) -> Floats:
    """The order's amount with shipping online and tips in restaurants."""
    count = len(amount)
    at_terminal = payments.channel == IN_STORE
    shipping = SHIPPING[random.choice(len(SHIPPING), count, p=SHIPPING_SHARES)]
    shipping = np.where(at_terminal, 0.0, np.minimum(shipping, SHIPPING_AT_MOST * amount))
    eats = marketplace.merchants.category[payments.merchant] == NAMES.index("restaurants")
    tips = eats & at_terminal & (random.random(count) < TIP_SHARE)
    tip = np.where(tips, amount * random.uniform(0.04, 0.15, count), 0.0)
    charged: Floats = np.round(amount + shipping + tip, 2)
    return charged
