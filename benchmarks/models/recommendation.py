"""Do recommendations sell more than what is most popular? A driven fortnight in the simulator.

`python -m benchmarks.models.recommendation [--home FOLDER] [--sessions N] [--days N]`

A marketplace by the platform's real path (files, raw, dbt, training set, fit). Then a fortnight of
visits, lived with the pipeline's lists and with what is most popular; each day of the pipeline's
also once more without exploration. Searches are answered alike. Customers' latest interactions and
habits, the catalogue and its index move on each day; the models stay as they were fitted.

- Purchases per session: the lead over most popular, with its interval over visits.
- New products: their share of what was shown, and of what is for sale.
- Off-policy: what the log of the exploring pipeline says of the one without, against its truth.
"""

from __future__ import annotations

import argparse
import tempfile
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.dataset import TrainingSet
from agora.entities.products import catalogue
from agora.items import catalogue_of
from agora.pipeline import predict
from agora.ranking import off_policy
from agora.settings import Settings
from agora.simulator import Params
from agora.simulator.baselines import MostPopular
from agora.simulator.comparison import difference, purchases_per_session, together
from agora.simulator.drive import drive
from agora.simulator.world import make_world
from agora.stores.lake import Lake
from agora.systems.recommendation import SYSTEM
from agora.systems.recommendation.pipeline import RecommendationPipeline
from benchmarks.models.live_features import Live
from benchmarks.models.marketplace import training_set
from benchmarks.results import show, write

if TYPE_CHECKING:
    from agora.simulator.world import World

SEED, HISTORY, DAYS, SESSIONS = 7, 42, 14, 1_000
NEW_DAYS = 14
Frames = dict[str, pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Fortnight:
    """What a way to make lists came to.

    Attributes:
        frames: Searches, impressions and interactions of all days.
        lists: Its answers on the home page, one row per product shown.
    """

    frames: Frames
    lists: pl.DataFrame


def run(
    home: Path, sessions: int = SESSIONS, days: int = DAYS, customers: int = 4_000
) -> list[Any]:
    """Drive the fortnight and compare.

    Args:
        home: Instance; the marketplace is made in it unless it is there.
        sessions: Visits a day.
        days: Days driven.
        customers: Customers of the marketplace.
    """
    params = Params(
        seed=SEED, start=date(2026, 1, 5), days=HISTORY + days, customers=customers,
        merchants=max(60, customers * 3 // 20), payments_per_day=300,
    )  # fmt: skip
    first = params.start + timedelta(days=HISTORY)
    lake, world = Lake(Settings(home=home).lake), make_world(params)
    as_of = datetime.combine(first, datetime.min.time(), UTC)
    made = _training_set(home, params, lake)
    fitted = RecommendationPipeline().fit(made)
    fitted.version = "1"
    greedy = copy(fitted)
    greedy.params = replace(
        fitted.params, exploration=replace(fitted.params.exploration, epsilon=0.0)
    )
    past = lake.query(f"""
        select * from marts.interactions where arrived_at < timestamptz '{as_of.isoformat()}'
    """)
    each = [first + timedelta(days=day) for day in range(days)]
    ours, without = _drive(world, fitted, greedy, lake, past, each, sessions)
    popular = _popular(world, past, each, sessions)
    return [
        *_sales(ours.frames, popular),
        *_exposure(lake, ours.lists, each),
        *_off_policy(ours, without),
    ]


def _training_set(home: Path, params: Params, lake: Lake) -> TrainingSet:
    """Of the days before the fortnight; made once per home."""
    if lake.exists(f"{SYSTEM.name}/training_set"):
        return TrainingSet.load(lake, SYSTEM.name)
    held_back = timedelta(days=params.days - HISTORY)
    return training_set(home, params, SYSTEM, until=-held_back)


def _drive(
    world: World,
    pipeline: RecommendationPipeline,
    instead: RecommendationPipeline,
    lake: Lake,
    past: pl.DataFrame,
    days: list[date],
    sessions: int,
) -> tuple[Fortnight, Fortnight]:
    """The fortnight with a pipeline; and each of its days lived once more with another's lists."""
    live, found, other = Live(past), [], []
    for day in days:
        midnight = datetime.combine(day, datetime.min.time(), UTC)
        items, searched = catalogue_of(SYSTEM, lake, midnight), MostPopular(world, past, day)
        lived = [
            _day(world, each.with_items(items), searched, live, day, sessions)
            for each in (pipeline, instead)
        ]
        live = live.after(lived[0].frames["interactions"])
        found.append(lived[0])
        other.append(lived[1])
    return _joined(found), _joined(other)


def _day(
    world: World,
    pipeline: RecommendationPipeline,
    searched: MostPopular,
    live: Live,
    day: date,
    sessions: int,
) -> Fortnight:
    shown: list[pl.DataFrame] = []

    def ask(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if "query" in requests[0]:
            return searched(requests)
        answers = predict(pipeline, live.columns(requests))
        ids = [request["request_id"] for request in requests]
        page = pl.lit(len(shown)).alias("page")
        shown.append(answers.select(pl.Series("list_id", ids), page, "items"))
        return [
            {"prediction_id": list_id, "items": items}
            for list_id, items in zip(ids, answers["items"].to_list(), strict=True)
        ]

    frames = drive(world, ask, day, sessions, SEED)
    lists = pl.concat(shown).explode("items").unnest("items").drop_nulls("product_id")
    return Fortnight(frames, lists)


def _joined(days: list[Fortnight]) -> Fortnight:
    frames = together([day.frames for day in days])
    return Fortnight(frames, pl.concat([day.lists for day in days]))


def _popular(world: World, past: pl.DataFrame, days: list[date], sessions: int) -> Frames:
    found, known = [], past.select("product_id", "kind")
    for day in days:
        frames = drive(world, MostPopular(world, known, day), day, sessions, SEED)
        known = pl.concat([known, frames["interactions"].select("product_id", "kind")])
        found.append(frames)
    return together(found)


def _sales(ours: Frames, popular: Frames) -> list[dict[str, Any]]:
    lead = difference(ours, popular)
    sold = [purchases_per_session(frames) for frames in (ours, popular)]
    return [
        _row("purchases per session, recommended", sold[0].mean, _interval(sold[0])),
        _row("purchases per session, most popular", sold[1].mean, _interval(sold[1])),
        _row("lead in purchases per session", lead.mean, _interval(lead), 0.0, met=lead.low > 0),
    ]


def _exposure(lake: Lake, lists: pl.DataFrame, days: list[date]) -> list[dict[str, Any]]:
    """New products' share of the places, and how many of them were shown at all."""
    end = datetime.combine(days[-1], datetime.min.time(), UTC)
    listed = catalogue(lake, end)
    new = listed.filter(pl.col("listed_at") > end - timedelta(days=NEW_DAYS + len(days)))
    shown = lists.join(new.select("product_id"), on="product_id", how="semi")
    share, seen = len(shown) / len(lists), shown["product_id"].n_unique() / max(len(new), 1)
    even, of_shop = len(new) / len(listed), "their share of the catalogue"
    return [
        _row("new products' share of what was shown", share, of_shop, even, met=share >= even),
        _row("new products that were shown", seen, f"{len(new):,} listed lately"),
    ]


def _off_policy(ours: Fortnight, without: Fortnight) -> list[dict[str, Any]]:
    """Clicks per list of the pipeline without exploration: estimated from the log, and true.

    Of first pages: later ones depend on what was clicked before, which differs.
    """
    first = ours.lists.filter(page=0).select("list_id").unique()
    clicked = _clicked(ours).join(first, on="list_id", how="semi")
    wanted = without.lists.select("list_id", "position", wanted="product_id")
    asked = clicked.join(wanted, on=["list_id", "position"], how="left").with_columns(
        target=(pl.col("product_id") == pl.col("wanted")).fill_null(value=False).cast(pl.Float64)
    )
    log = off_policy.Log(
        sessions=asked["list_id"].rank("dense").to_numpy().astype(np.int64) - 1,
        positions=asked["position"].to_numpy(),
        rewards=asked["reward"].to_numpy(),
        logged=asked["propensity"].to_numpy(),
        target=asked["target"].to_numpy(),
    )
    true = _clicked(without).join(first, on="list_id", how="semi")
    truth = true["reward"].sum() / true["list_id"].n_unique()
    rows = [_row("clicks per list without exploration, true", truth, "first pages")]
    for name, each in off_policy.estimates(log, draws=400).items():
        is_estimate = name != "logged"
        within = each.low <= truth <= each.high
        rows.append(
            _row(
                f"clicks per list, {name}", each.value, f"{each.low:.4f} to {each.high:.4f}",
                truth if is_estimate else None, met=within if is_estimate else None,
            )
        )  # fmt: skip
    return rows


def _clicked(fortnight: Fortnight) -> pl.DataFrame:
    clicks = fortnight.frames["interactions"].filter(kind="click").select("list_id", "product_id")
    lists = fortnight.lists.select("list_id", "position", "product_id", "propensity")
    return lists.join(
        clicks.unique().with_columns(reward=pl.lit(1.0)), on=["list_id", "product_id"], how="left"
    ).with_columns(pl.col("reward").fill_null(0.0))


def _interval(estimate: Any) -> str:
    return f"{estimate.low:.4f} to {estimate.high:.4f}, {estimate.sessions:,} visits"


def _row(
    metric: str, value: float, reference: str, target: float | None = None, met: bool | None = None
) -> dict[str, Any]:
    return {
        "benchmark": "recommendation", "system": SYSTEM.name, "metric": metric, "value": value,
        "target": target, "reference": reference, "unit": "", "met": met,
    }  # fmt: skip


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--customers", type=int, default=4_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="agora-recommendation-") as scratch:
        home = given.home or Path(scratch)
        rows = run(home, given.sessions, given.days, given.customers)
    write("recommendation", rows)
    show(rows, "A driven fortnight")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
