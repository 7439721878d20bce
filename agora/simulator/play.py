"""What happens in visits: pages are asked for, looked at, clicked; what is liked is bought.

Whoever makes the lists is a parameter: the shop of the past for the history, a running service for
traffic, a Predictor in a benchmark. What customers do with a list never depends on who made it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Protocol

import numpy as np

from agora.simulator import truth
from agora.simulator.params import SECOND
from agora.simulator.streams import stream
from agora.simulator.truth import HOME, SEARCH, SHOWN

if TYPE_CHECKING:
    from agora.simulator.arrays import Bools, Floats, Ints
    from agora.simulator.queries import Queries
    from agora.simulator.visits import Plan
    from agora.simulator.world import World

BETWEEN_PAGES = 90 * SECOND
TRIES_AGAIN = (0.75, 0.35)
"""After a search that found nothing; after one that led to no click."""
ROUNDS = (HOME, SEARCH, SEARCH, HOME)


@dataclass(frozen=True, slots=True)
class Events:
    """What was done: columns of equal length, in no order.

    Attributes:
        visit: Position in the plan.
        turn: Position in `ROUNDS`.
        place: Position in the list, from 0.
        product: Position in the goods.
        kind: Position in `truth.KINDS`.
        at: Microseconds UTC.
    """

    visit: Ints
    turn: Ints
    place: Ints
    product: Ints
    kind: Ints
    at: Ints

    def __len__(self) -> int:
        return len(self.visit)


@dataclass(frozen=True, slots=True)
class Pages:
    """Pages asked for at one turn; (n,) columns.

    Attributes:
        turn: Position in `ROUNDS`.
        surface: `HOME` or `SEARCH`.
        visit: Positions in the plan.
        moment: Microseconds UTC.
        customer: Who asks.
        is_known: Whether the shop knows who asks.
        queries: What is asked; None on the home page.
        events: What these visits did before.
    """

    turn: int
    surface: int
    visit: Ints
    moment: Ints
    customer: Ints
    is_known: Bools
    queries: Queries | None
    events: Events

    @property
    def length(self) -> int:
        """Places of a list."""
        return SHOWN[self.surface]


@dataclass(frozen=True, slots=True)
class Lists:
    """What was shown: (n, k) products, -1 at the end of short lists; propensities may be NaN.

    `found` counts what a search found, shown or not.
    """

    product: Ints
    propensity: Floats
    found: Ints


class Shop(Protocol):
    """Makes the lists."""

    def __call__(self, pages: Pages) -> Lists:
        """A list for each page."""
        ...


@dataclass(frozen=True, slots=True)
class Played:
    """A day as it went: the plan, the pages of each turn with their lists, and all events."""

    plan: Plan
    pages: tuple[Pages, ...]
    lists: tuple[Lists, ...]
    events: Events


def play(world: World, plan: Plan, shop: Shop, seed: int) -> Played:
    """Let the visits of a plan happen in a shop.

    Chance is drawn by visit and turn whatever is shown, so that two shops are compared on the same
    visits.

    Args:
        world: The truth.
        plan: The visits.
        shop: Makes the lists.
        seed: Of what customers do.
    """
    random = stream(seed, f"doings {plan.stream}")
    pages, lists, events = [], [], nothing_done()
    goes_on = plan.enters_by_home
    for turn, surface in enumerate(ROUNDS):
        drawn = random.random((len(plan), 6, SHOWN[surface]))
        again = random.random(len(plan))
        asked = _pages(plan, turn, np.flatnonzero(goes_on), events)
        shown = shop(asked)
        events = joined(events, _doings(world, plan, asked, shown, drawn[asked.visit]))
        pages.append(asked)
        lists.append(shown)
        goes_on = _next(plan, turn, asked, shown, events, again)
    return Played(plan, tuple(pages), tuple(lists), events)


def nothing_done() -> Events:
    """No events."""
    return Events(*(np.zeros(0, dtype=np.int64) for _ in fields(Events)))


def nothing_shown(pages: Pages) -> Lists:
    """Empty lists."""
    shape = (len(pages.visit), pages.length)
    found = np.zeros(shape[0], dtype=np.int64)
    return Lists(np.full(shape, -1), np.full(shape, np.nan), found)


def joined(*parts: Events) -> Events:
    """Several events as one."""
    return Events(
        *(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Events))
    )


def _pages(plan: Plan, turn: int, visit: Ints, events: Events) -> Pages:
    queries = (None, plan.first, plan.second, None)[turn]
    return Pages(
        turn=turn,
        surface=ROUNDS[turn],
        visit=visit,
        moment=plan.start_at[visit] + int(turn * BETWEEN_PAGES * plan.pace),
        customer=plan.customer[visit],
        is_known=plan.is_known[visit],
        queries=None if queries is None else queries.take(visit),
        events=events,
    )


def _next(
    plan: Plan, turn: int, pages: Pages, lists: Lists, events: Events, drawn: Floats
) -> Bools:
    """Which visits open the page of the next turn."""
    if turn == 0:
        return plan.searches
    if turn > 1:
        return plan.returns
    found = np.zeros(len(plan), dtype=np.int64)
    found[pages.visit] = lists.found
    clicked = np.bincount(events.visit[events.turn == turn], minlength=len(plan)) > 0
    disappointed = np.where(found == 0, TRIES_AGAIN[0], np.where(clicked, 0.0, TRIES_AGAIN[1]))
    return plan.searches & (drawn < disappointed)


def chances(world: World, plan: Plan, pages: Pages, product: Ints) -> tuple[Floats, Floats, Floats]:
    """(n, k) chance of a click at each place; of a cart, if clicked; of a purchase, if in the cart.

    Args:
        world: The truth.
        plan: The visits.
        pages: Who looks, in which state.
        product: (n, k) what stands there, -1 for nothing; whatever was really shown.
    """
    shown, product = product >= 0, np.maximum(product, 0)
    wants = plan.mind.take(pages.visit) if pages.queries is None else pages.queries.wants
    worth = truth.utility(world, pages.surface, pages.customer, pages.moment, wants, product)
    in_stock = world.goods.stock_at(product, pages.moment[:, None]) > 0
    examined = truth.EXAMINED[pages.surface][: product.shape[1]] * shown
    click, cart, purchase = truth.step_probabilities(worth, in_stock)
    return examined * click, cart, purchase


def _doings(world: World, plan: Plan, pages: Pages, lists: Lists, drawn: Floats) -> Events:
    """Clicks, carts and purchases; `drawn` is (n, 6, k): three chances and three times."""
    product = lists.product
    places = np.arange(product.shape[1])
    click, cart, purchase = chances(world, plan, pages, product)
    drawn = drawn[:, :, : product.shape[1]]
    done = drawn[:, 0] < click
    # A click, then the cart, then the till: all within the time that the page is open.
    second = SECOND * plan.pace
    at = pages.moment[:, None] + ((2 + 2 * places + 10 * drawn[:, 3]) * second).astype(np.int64)
    parts = []
    for kind, chance in enumerate((click, cart, purchase)):
        if kind:
            done = done & (drawn[:, kind] < chance)
            at = at + ((5 + 15 * drawn[:, 3 + kind]) * second).astype(np.int64)
        row, place = np.nonzero(done)
        parts.append(
            Events(
                visit=pages.visit[row],
                turn=np.full(len(row), pages.turn),
                place=place,
                product=product[row, place],
                kind=np.full(len(row), kind),
                at=at[row, place],
            )
        )
    return joined(*parts)
