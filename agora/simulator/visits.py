"""Visits to the shop: who comes when, what each has in mind, and which pages each will open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agora.simulator import geography, seasons
from agora.simulator import vocabulary as words
from agora.simulator.params import DAY, HOUR, microseconds
from agora.simulator.queries import NOTHING, ask, ask_again
from agora.simulator.spending import draw_customers
from agora.simulator.streams import stream
from agora.simulator.truth import Wants

if TYPE_CHECKING:
    from datetime import date

    from agora.simulator.arrays import Bools, Floats, Ints
    from agora.simulator.queries import Queries
    from agora.simulator.world import World

BROWSING = 0.3
"""Visits without anything in mind."""
ENTERS_BY_HOME, SEARCHES, RETURNS = 0.85, 0.6, 0.35
LIKED = 4.0
"""How much what is looked for follows the taste, in log-odds over the length of a taste."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Visits of one day, before anything is shown.

    Attributes:
        tag: Part of all identifiers: the day, and which run of it.
        stream: Name of the random streams; equal ones give equal visits.
        pace: Length of pauses as a share of what people take.
        start_at: Microseconds UTC.
        customer: Who comes.
        is_known: Whether the customer has signed in.
        mind: What is in mind; nothing for those who only look around.
        first: The query, if there will be one.
        second: The query after a disappointment.
        enters_by_home: Opens the home page first.
        searches: Types a query.
        returns: Comes back to the home page at the end.
    """

    tag: str
    stream: str
    pace: float
    start_at: Ints
    customer: Ints
    is_known: Bools
    mind: Wants
    first: Queries
    second: Queries
    enters_by_home: Bools
    searches: Bools
    returns: Bools

    def __len__(self) -> int:
        return len(self.start_at)


def make_plan(
    world: World, day: date, count: int, seed: int, tag: str, part: str | None = None
) -> Plan:
    """`count` visits on a day; the day may lie after the simulated span.

    Args:
        world: Who may come.
        day: UTC.
        count: Visits.
        seed: Of the visits; the world has its own.
        tag: Part of all identifiers, unique for each run of a day.
        part: Name of the random streams; the tag by default.
    """
    part = part or tag
    random = stream(seed, f"visits {part}")
    params, customers = world.params, world.marketplace.customers
    midnight = microseconds(day)
    customer = draw_customers(random, world.marketplace, np.full(count, midnight))
    number = np.full(count, (midnight - params.start_at) // DAY)
    ahead = geography.HOURS_AHEAD[customers.home_at(customer, number * 0 + midnight)] * HOUR
    local = seasons.times_of_day(random, params, number)
    start_at = np.sort(midnight + (local - ahead) % DAY)
    noun, style, brand = _wishes(random, world, customer, start_at)
    browses = random.random(count) < BROWSING
    none = np.full(count, NOTHING)
    mind = Wants(
        category=np.where(browses, NOTHING, noun // words.NOUNS_EACH),
        noun=np.where(browses, NOTHING, noun),
        style=none,
        brand=none,
        ceiling=np.full(count, np.inf),
    )
    first = ask(random, noun, style, brand)
    enters = random.random(count) < ENTERS_BY_HOME
    return Plan(
        tag=tag,
        stream=part,
        pace=1.0,
        start_at=start_at,
        customer=customer,
        is_known=random.random(count) >= params.anonymous_share,
        mind=mind,
        first=first,
        second=ask_again(random, first),
        enters_by_home=enters,
        searches=~enters | (random.random(count) < SEARCHES),
        returns=random.random(count) < RETURNS,
    )


def _wishes(
    random: np.random.Generator, world: World, customer: Ints, moment: Ints
) -> tuple[Ints, Ints, Ints]:
    """A kind of thing by taste and by how much there is of it; a style and a brand with it."""
    concepts, count = world.concepts, len(customer)
    taste = world.tastes.at(customer, moment)
    supply = np.bincount(world.goods.noun, minlength=len(concepts.noun))
    place = np.repeat(concepts.category, words.NOUNS_EACH, axis=0) + concepts.noun
    noun = _drawn(random, LIKED * taste @ place.T + np.log(supply + 1e-9))
    category = noun // words.NOUNS_EACH
    chosen = []
    for vectors, each in ((concepts.style, words.STYLES_EACH), (concepts.brand, words.BRANDS_EACH)):
        mine = category[:, None] * each + np.arange(each)
        liked = np.matmul(vectors[mine], taste[:, :, None])[:, :, 0]
        chosen.append(mine[np.arange(count), _drawn(random, LIKED * liked)])
    return noun, chosen[0], chosen[1]


def _drawn(random: np.random.Generator, log_odds: Floats) -> Ints:
    """A column for each row, by a softmax over the columns (the Gumbel trick)."""
    column: Ints = np.argmax(log_odds + random.gumbel(size=log_odds.shape), axis=1)
    return column
