"""What customers like, can pay and look for. Tastes turn slowly, each in its own plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agora.simulator import vocabulary as words
from agora.simulator.catalogue import CATEGORIES, FREQUENCY
from agora.simulator.goods import DIMENSIONS, unit
from agora.simulator.params import DAY
from agora.simulator.streams import stream

if TYPE_CHECKING:
    from agora.simulator.arrays import Floats, Ints
    from agora.simulator.goods import Concepts
    from agora.simulator.params import Params
    from agora.simulator.people import Customers

PARTS = {"category": 1.0, "second": 0.6, "noun": 0.6, "style": 0.8, "own": 0.7}
"""What a taste is made of: two categories, a kind of thing and a style in the first, a rest."""
USUAL_LEVEL = np.log(34.0)


@dataclass(frozen=True, slots=True)
class Tastes:
    """Tastes of customers.

    Attributes:
        start_at: Moment at which a taste is `now`, microseconds UTC.
        now: (customers, dimensions) unit vectors.
        next: Unit vectors at right angles to these, towards which the tastes turn.
        speed: Radians a day.
        means: How much more than usual each pays, in logarithms: the same as in their payments.
        thrift: How much a price above their means puts them off.
    """

    start_at: int
    now: Floats
    next: Floats
    speed: Floats
    means: Floats
    thrift: Floats

    def at(self, customer: Ints, moment: Ints) -> Floats:
        """(n, dimensions) taste of each customer at each moment."""
        angle = (self.speed[customer] * (moment - self.start_at) / DAY)[:, None]
        turned: Floats = np.cos(angle) * self.now[customer] + np.sin(angle) * self.next[customer]
        return turned


def make_tastes(params: Params, customers: Customers, concepts: Concepts) -> Tastes:
    """Tastes of all customers."""
    random = stream(params.seed, "tastes")
    count = len(customers)
    first, second = random.choice(len(CATEGORIES), (2, count), p=FREQUENCY)
    noun = first * words.NOUNS_EACH + random.integers(0, words.NOUNS_EACH, count)
    style = first * words.STYLES_EACH + random.integers(0, words.STYLES_EACH, count)
    place = {
        "category": concepts.category[first],
        "second": concepts.category[second],
        "noun": concepts.noun[noun],
        "style": concepts.style[style],
        "own": unit(random.standard_normal((count, DIMENSIONS))),
    }
    now = unit(sum((PARTS[name] * part for name, part in place.items()), np.zeros(1)))
    other = random.standard_normal((count, DIMENSIONS))
    return Tastes(
        start_at=params.start_at,
        now=now,
        next=unit(other - (other * now).sum(1, keepdims=True) * now),
        speed=params.taste_drift / 100 * random.gamma(4.0, 0.25, count),
        means=customers.level - USUAL_LEVEL,
        thrift=random.gamma(4.0, 0.2, count),
    )
