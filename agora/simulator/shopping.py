"""Landing tables of visits: searches, impressions, interactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from agora.schema import schema_of
from agora.simulator import truth
from agora.simulator.arrivals import LATE, prompt
from agora.simulator.frames import timed, words_at
from agora.simulator.play import ROUNDS
from agora.simulator.streams import stream
from agora.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.simulator.arrays import Ints
    from agora.simulator.play import Played
    from agora.simulator.visits import Plan
    from agora.simulator.world import World

TURNS = "abcd"
"""Letters of the pages of a visit in identifiers."""
MOST_VISITS = 10_000_000
"""On one day, so that day, visit and turn make one number."""


def list_ids(plan: Plan, visit: Ints, turn: int) -> pl.Series:
    """Identifiers of the lists of one turn; a search has the same."""
    rows = pl.DataFrame({"visit": visit})
    return rows.select(_list_id(pl.lit(plan.tag), pl.lit(TURNS[turn]))).to_series()


def session_ids(plan: Plan, visit: Ints) -> pl.Series:
    """Identifiers of visits."""
    return pl.DataFrame({"visit": visit}).select(_session_id(pl.lit(plan.tag))).to_series()


def frames_of(world: World, days: Sequence[Played], seed: int) -> dict[str, pl.DataFrame]:
    """The landing tables of days of visits, with the columns of their contracts."""
    names = ("searches", "impressions", "interactions")
    if not days:
        return {name: pl.DataFrame(schema=schema_of(TABLES[name])) for name in names}
    random = stream(seed, f"visit records {days[0].plan.tag}")
    keys, lists = _lists(world, days)
    shown = _impressions(world, days, lists)
    done = _interactions(world, days, keys, lists)
    searched = lists.filter(surface=truth.SURFACES[truth.SEARCH]).with_columns(search_id="list_id")
    frames = dict(zip(names, (searched, shown, done), strict=True))
    return {name: _arrived(random, world, name, frame) for name, frame in frames.items()}


def _lists(world: World, days: Sequence[Played]) -> tuple[Ints, pl.DataFrame]:
    """One row per list that was asked for, and its number made of day, visit and turn."""
    pages = [(day, page) for day, played in enumerate(days) for page in played.pages]
    sizes = [len(page.visit) for _, page in pages]
    number = np.repeat([day for day, _ in pages], sizes)
    turn = np.repeat([page.turn for _, page in pages], sizes)
    visit = np.concatenate([page.visit for _, page in pages])
    known = np.concatenate([page.is_known for _, page in pages])
    customer = np.concatenate([page.customer for _, page in pages])
    frame = pl.DataFrame(
        {
            "tag": words_at([played.plan.tag for played in days], number),
            "visit": visit,
            "turn": words_at(TURNS, turn),
            "surface": words_at([truth.SURFACES[surface] for surface in ROUNDS], turn),
            "known": known,
            "customer_id": world.customer_ids.gather(customer),
            "query": _texts(days),
            "results": np.concatenate([each.found for played in days for each in played.lists]),
            "event_at": np.concatenate([page.moment for _, page in pages]),
        }
    )
    lists = frame.select(
        _list_id(pl.col("tag"), pl.col("turn")),
        "surface",
        _session_id(pl.col("tag")),
        pl.when("known").then("customer_id").alias("customer_id"),
        "query",
        "results",
        "event_at",
    )
    return (number * MOST_VISITS + visit) * len(ROUNDS) + turn, lists


def _texts(days: Sequence[Played]) -> pl.Series:
    return pl.concat(
        [
            pl.Series([None], dtype=pl.String).new_from_index(0, len(page.visit))
            if page.queries is None
            else page.queries.text()
            for played in days
            for page in played.pages
        ]
    )


def _impressions(world: World, days: Sequence[Played], lists: pl.DataFrame) -> pl.DataFrame:
    first, parts = 0, []
    for each in (each for played in days for each in played.lists):
        row, place = np.nonzero(each.product >= 0)
        parts.append((first + row, place, each.product[row, place], each.propensity[row, place]))
        first += len(each.product)
    row, place, product, propensity = (
        np.concatenate([part[column] for part in parts]) for column in range(4)
    )
    return lists[row].with_columns(
        world.product_ids.gather(product),
        pl.Series("position", place + 1),
        pl.Series("propensity", propensity).fill_nan(None),
        impression_id=pl.concat_str(
            pl.lit("imp"), pl.col("list_id").str.slice(3), _number(pl.Series(place + 1), 2)
        ),
    )


def _interactions(
    world: World, days: Sequence[Played], keys: Ints, lists: pl.DataFrame
) -> pl.DataFrame:
    events = [played.events for played in days]
    key = np.concatenate(
        [
            (day * MOST_VISITS + each.visit) * len(ROUNDS) + each.turn
            for day, each in enumerate(events)
        ]
    )
    order = np.argsort(keys)
    row = order[np.searchsorted(keys, key, sorter=order)]
    product, place, kind, at = (
        np.concatenate([getattr(each, name) for each in events])
        for name in ("product", "place", "kind", "at")
    )
    kinds = words_at(truth.KINDS, kind)
    return lists[row].with_columns(
        world.product_ids.gather(product),
        kinds.alias("kind"),
        pl.Series("event_at", at),
        interaction_id=pl.concat_str(
            pl.lit("int"),
            pl.col("list_id").str.slice(3),
            _number(pl.Series(place + 1), 2),
            kinds.str.slice(0, 2),
        ),
    )


def _arrived(
    random: np.random.Generator, world: World, name: str, frame: pl.DataFrame
) -> pl.DataFrame:
    """The frame with times of arrival; a few interactions come from phones that were offline."""
    arrived_at = prompt(random, frame["event_at"].to_numpy())
    if name == "interactions":
        is_late = random.random(len(frame)) < world.params.late_share
        late = np.exp(random.uniform(*LATE, len(frame)))
        arrived_at = arrived_at + np.where(is_late, late, 0).astype(np.int64)
    return timed(frame.with_columns(arrived_at=pl.Series(arrived_at))).select(TABLES[name].names)


def _list_id(tag: pl.Expr, turn: pl.Expr) -> pl.Expr:
    return pl.format("lst_{}_{}{}", tag, _number(pl.col("visit"), 5), turn).alias("list_id")


def _session_id(tag: pl.Expr) -> pl.Expr:
    return pl.format("ses_{}_{}", tag, _number(pl.col("visit"), 5)).alias("session_id")


def _number(column: pl.Expr | pl.Series, digits: int) -> pl.Expr:
    expression = pl.lit(column) if isinstance(column, pl.Series) else column
    return expression.cast(pl.String).str.zfill(digits)
