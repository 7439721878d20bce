"""What other lists would have earned of the very same visitors in the very same states."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from agora.simulator.drive import AskedShop, lists_of
from agora.simulator.play import chances, play
from agora.simulator.shopping import frames_of, list_ids, session_ids
from agora.simulator.visits import make_plan

if TYPE_CHECKING:
    from datetime import date

    from agora.simulator.drive import Ask
    from agora.simulator.play import Lists, Pages
    from agora.simulator.visits import Plan
    from agora.simulator.world import World

SCHEMA = {
    "session_id": pl.String(), "list_id": pl.String(), "position": pl.Int64(),
    "product_id": pl.String(), "chance": pl.Float64(),
    "sale": pl.Float64(),
}  # fmt: skip


def drive_and_judge(
    world: World, ask: Ask, instead: Ask, day: date, sessions: int, seed: int
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    """`drive`, and what others' lists on the home page would have earned at each request.

    Visits go on from the lists of `ask` alone: what was clicked before is the same for both. So the
    log of `ask` can tell what the other lists are worth, and there is no chance in their truth.

    Args:
        world: The truth.
        ask: Makes the lists that are shown, as in `drive`.
        instead: Makes the others, of the same requests, right after `ask` was asked.
        day: UTC.
        sessions: Visits.
        seed: Of the visits and of what customers do.

    Returns:
        The tables of `drive`; and one row per place of the other lists: `session_id`, `list_id` (as
        in the tables), `position`, `product_id`, `chance` of a click and of a `sale`.
    """
    plan = make_plan(world, day, sessions, seed, f"{day:%y%m%d}r{seed}")
    shop = JudgedShop(world, plan, ask, instead)
    frames = frames_of(world, [play(world, plan, shop, seed)], seed)
    return frames, pl.concat([pl.DataFrame(schema=SCHEMA), *shop.judged])


class JudgedShop(AskedShop):
    """A shop that also asks what others would have shown.

    Attributes:
        judged: What that would have earned, a frame per page of the home page.
    """

    def __init__(self, world: World, plan: Plan, ask: Ask, instead: Ask) -> None:
        super().__init__(world, plan, ask)
        self._instead = instead
        self.judged: list[pl.DataFrame] = []

    def __call__(self, pages: Pages) -> Lists:
        """Ask for all pages at once; judge the other lists of a home page."""
        shown = super().__call__(pages)
        if pages.queries is None and len(pages.visit):
            self.judged.append(self._judge(pages))
        return shown

    def _judge(self, pages: Pages) -> pl.DataFrame:
        answers = [answer or {} for answer in self._instead(list(self._requests(pages)))]
        product = lists_of(self._world, answers, pages.length).product
        click, cart, purchase = chances(self._world, self._plan, pages, product)
        row, place = np.nonzero(product >= 0)
        return pl.DataFrame(
            {
                "session_id": session_ids(self._plan, pages.visit).gather(row),
                "list_id": list_ids(self._plan, pages.visit, pages.turn).gather(row),
                "position": place + 1,
                "product_id": self._world.product_ids.gather(product[row, place]),
                "chance": click[row, place],
                "sale": (click * cart * purchase)[row, place],
            },
            schema=SCHEMA,
        )
