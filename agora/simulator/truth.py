"""The true behaviour of customers: what they would click, put into the cart and buy, and why.

Position-based model (Craswell et al., "An experimental comparison of click position-bias models",
WSDM 2008): a product is clicked if its position is looked at and it appeals. The platform never
reads any of this; it only sees what follows from it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from agora.simulator.catalogue import PRICE

if TYPE_CHECKING:
    from agora.simulator.arrays import Bools, Floats, Ints
    from agora.simulator.goods import Goods
    from agora.simulator.world import World

HOME, SEARCH = 0, 1
SURFACES = ("home", "search")
SHOWN = (12, 10)
"""Length of a list on each surface."""
DEEPEST = 100
EXAMINED = np.power(np.arange(1.0, DEEPEST + 1), np.array([[-0.5], [-0.8]]))
"""(surface, position) probability that a position is looked at: searchers give up earlier."""
TASTE, QUALITY = 3.0, 0.7
INTENT, MATCH, MISMATCH = 1.5, 2.5, -2.0
"""What it is worth that a product is what is looked for: on the home page; in a search, fully and
not at all."""
RELATED, LACKING = 0.35, 0.6
"""Match of another thing of the same category; factor for each wish that is not met."""
CLICK, CART, PURCHASE = -4.6, -4.4, -4.0
"""Log-odds of each step for an indifferent product; the next step only follows the one before."""
KINDS = ("click", "cart", "purchase")


@dataclass(frozen=True, slots=True)
class Wants:
    """What each of n visits looks for: positions in `vocabulary`, -1 for no wish; a price limit."""

    category: Ints
    noun: Ints
    style: Ints
    brand: Ints
    ceiling: Floats

    def __len__(self) -> int:
        return len(self.category)

    def take(self, rows: Ints) -> Wants:
        """The rows asked for, in that order."""
        return Wants(*(getattr(self, column.name)[rows] for column in fields(self)))


def match(goods: Goods, wants: Wants, product: Ints, price: Floats) -> Floats:
    """(n, k) how well products meet the wishes: 1 is all that was asked for, 0 is another thing."""
    category = goods.category[product] == wants.category[:, None]
    noun = goods.noun[product] == wants.noun[:, None]
    any_noun = wants.noun[:, None] < 0
    found = np.where(any_noun, category, np.where(noun, 1.0, RELATED * category))
    for wish, has in ((wants.style, goods.style), (wants.brand, goods.brand)):
        lacks = (wish[:, None] >= 0) & (has[product] != wish[:, None])
        found = found * np.where(lacks, LACKING, 1.0)
    met: Floats = found * np.where(price > wants.ceiling[:, None], LACKING, 1.0)
    return met


def utility(
    world: World, surface: int, customer: Ints, moment: Ints, wants: Wants, product: Ints
) -> Floats:
    """(n, k) what products are worth to customers at a moment, in log-odds; 0 is indifference.

    Args:
        world: Goods and tastes.
        surface: `HOME` or `SEARCH`: only in a search must a product be what was asked for.
        customer: (n,) positions.
        moment: (n,) microseconds UTC.
        wants: (n,) what each looks for; for a search, what the query means.
        product: (n, k) positions.
    """
    goods, tastes = world.goods, world.tastes
    taste = tastes.at(customer, moment)
    liked = np.matmul(goods.vector[product], taste[:, :, None])[:, :, 0]
    price = goods.price_at(product, moment[:, None])
    above = np.log(price / PRICE[goods.category[product]]) - tastes.means[customer, None]
    worth = TASTE * liked + QUALITY * goods.quality[product]
    worth -= tastes.thrift[customer, None] * np.maximum(above, 0.0)
    meets = match(goods, wants, product, price)
    worth += INTENT * meets if surface == HOME else MISMATCH + (MATCH - MISMATCH) * meets
    log_odds: Floats = worth
    return log_odds


def step_probabilities(worth: Floats, in_stock: Bools) -> tuple[Floats, Floats, Floats]:
    """Click if looked at, cart if clicked, purchase if in the cart; nothing that is sold out."""
    click, cart, purchase = (
        1.0 / (1.0 + np.exp(-(worth + base))) for base in (CLICK, CART, PURCHASE)
    )
    return click, cart * in_stock, purchase


def purchase_probability(
    world: World,
    surface: int,
    customer: Ints,
    moment: Ints,
    wants: Wants,
    product: Ints,
    position: Ints | None = None,
) -> Floats:
    """(n, k) probability that showing products leads to their purchase.

    Args:
        world: Goods and tastes.
        surface: `HOME` or `SEARCH`.
        customer: (n,) positions.
        moment: (n,) microseconds UTC.
        wants: (n,) what each looks for.
        product: (n, k) positions.
        position: (n, k) places from 1; None where every product is looked at.
    """
    worth = utility(world, surface, customer, moment, wants, product)
    in_stock = world.goods.stock_at(product, moment[:, None]) > 0
    click, cart, purchase = step_probabilities(worth, in_stock)
    found: Floats = click * cart * purchase
    return found if position is None else found * EXAMINED[surface][position - 1]
