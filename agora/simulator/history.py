"""The visits of all simulated days, in the shop as it was."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from agora.simulator.params import microseconds
from agora.simulator.play import play
from agora.simulator.seasons import WEEK
from agora.simulator.shopping import frames_of
from agora.simulator.storefront import Storefront
from agora.simulator.visits import make_plan

if TYPE_CHECKING:
    from datetime import date

    import polars as pl

    from agora.simulator.params import Params
    from agora.simulator.world import World


def visits_on(params: Params, day: date) -> int:
    """Visits on a day: by the day of the week, as payments."""
    return round(params.sessions_per_day * float(WEEK[day.weekday()] / WEEK.mean()))


def shop(world: World) -> dict[str, pl.DataFrame]:
    """Searches, impressions and interactions of all days."""
    params = world.params
    storefront = Storefront(world, params.seed)
    days = []
    for number in range(params.days):
        day = params.start + timedelta(days=number)
        plan = make_plan(world, day, visits_on(params, day), params.seed, f"{day:%y%m%d}")
        storefront.open(microseconds(day))
        played = play(world, plan, storefront, params.seed)
        storefront.close(played.events)
        days.append(played)
    return frames_of(world, days, params.seed)
