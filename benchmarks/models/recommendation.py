"""Do recommendations sell more than what is most popular? A driven fortnight in the simulator.

`python -m benchmarks.models.recommendation [--home FOLDER] [--sessions N] [--days N] [--seed N]`

A marketplace by the platform's real path (files, raw, dbt, training set, fit); then a fortnight of
visits, lived with the pipeline's lists and with what is most popular.

- Purchases per session: the lead over most popular, with its interval over visits.
- New products: their places, and how many of them get their first looks in time.
- Off-policy: what the exploring pipeline's log says that it is worth without exploration, against
  the truth: expected clicks of those lists, shown to the same visitors in the states of the log.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from agora.dataset import TrainingSet
from agora.entities.products import catalogue
from agora.settings import Settings
from agora.simulator import Params
from agora.simulator.comparison import difference, purchases_per_session
from agora.simulator.world import make_world
from agora.stores.lake import Lake
from agora.systems.recommendation import SYSTEM
from agora.systems.recommendation.pipeline import RecommendationPipeline
from benchmarks.models.fortnight import Frames, most_popular, recommended
from benchmarks.models.live_features import Live
from benchmarks.models.logged import estimated
from benchmarks.models.marketplace import training_set
from benchmarks.results import show, write

if TYPE_CHECKING:
    from benchmarks.models.fortnight import Fortnight

Row = dict[str, Any]
SEED, HISTORY, DAYS, SESSIONS, CUSTOMERS = 7, 42, 14, 400, 4_000
NEW_DAYS, SHARE = 14, 0.08
"""Days for which a product is new, and the share of places: the rules keep one of twelve."""
SOON, IN_TIME = (3, 0.95), (7, 0.9)
"""Days after its listing, and the share of new products that by then were shown at all, and had
all of their first looks."""


def run(
    home: Path,
    sessions: int = SESSIONS,
    days: int = DAYS,
    customers: int = CUSTOMERS,
    seed: int = SEED,
) -> list[Row]:
    """Drive the fortnight and compare.

    Args:
        home: Instance; the marketplace is made in it unless it is there.
        sessions: Visits a day.
        days: Days driven.
        customers: Customers of the marketplace.
        seed: Of marketplace and visits.
    """
    params = Params(
        seed=seed, start=date(2026, 1, 5), days=HISTORY + days, customers=customers,
        merchants=max(60, customers * 3 // 20), payments_per_day=300,
    )  # fmt: skip
    first = params.start + timedelta(days=HISTORY)
    lake, world = Lake(Settings(home=home).lake), make_world(params)
    fitted = RecommendationPipeline().fit(_training_set(home, params, lake))
    fitted.version = "1"
    live = known_before(lake, first)
    each = [first + timedelta(days=day) for day in range(days)]
    ours = recommended(world, fitted, lake, live, each, sessions, seed)
    popular = most_popular(world, live, each, sessions, seed)
    looks = fitted.params.first_looks
    return [*_sales(ours.frames, popular), *_exposure(lake, ours, each, looks), *_off_policy(ours)]


def known_before(lake: Lake, day: date) -> Live:
    """What had arrived when a day opens."""
    midnight = datetime.combine(day, datetime.min.time(), UTC).isoformat()
    done, shown = (
        lake.query(f"select * from marts.{table} where arrived_at < timestamptz '{midnight}'")
        for table in ("interactions", "impressions")
    )
    return Live(done, shown)


def _training_set(home: Path, params: Params, lake: Lake) -> TrainingSet:
    """Of the days before the fortnight; made once per home."""
    if lake.exists(f"{SYSTEM.name}/training_set"):
        return TrainingSet.load(lake, SYSTEM.name)
    held_back = timedelta(days=params.days - HISTORY)
    return training_set(home, params, SYSTEM, until=-held_back)


def _sales(ours: Frames, popular: Frames) -> list[Row]:
    lead = difference(ours, popular)
    sold = [purchases_per_session(frames) for frames in (ours, popular)]
    return [
        _row("purchases per session, recommended", sold[0].mean, _interval(sold[0])),
        _row("purchases per session, most popular", sold[1].mean, _interval(sold[1])),
        _row("lead in purchases per session", lead.mean, _interval(lead), 0.0, met=lead.low > 0),
    ]


def _exposure(lake: Lake, ours: Fortnight, days: list[date], looks: int) -> list[Row]:
    """New products' share of the places, and how many were shown in time."""
    begin, end = (
        datetime.combine(day, datetime.min.time(), UTC)
        for day in (days[0], days[-1] + timedelta(days=1))
    )
    listed = catalogue(lake, end).select("product_id", "listed_at", "stock")
    lists = ours.lists.join(listed, on="product_id")
    age = pl.col("at") - pl.col("listed_at")
    share = float((lists.select(age)["at"] < timedelta(days=NEW_DAYS)).mean())
    of_shop = float((listed["listed_at"] > end - timedelta(days=NEW_DAYS)).mean())
    rows = [
        _row("new products' share of places", share, f"{of_shop:.3f} of the shop", SHARE,
             met=share >= SHARE),
    ]  # fmt: skip
    sold = listed.filter(pl.col("stock").fill_null(1) > 0, pl.col("listed_at") >= begin)
    kept = ours.lists["list_id"].n_unique()
    for (within, target), least in ((SOON, 1), (IN_TIME, looks)):
        due, found = _seen(ours.frames["impressions"], sold, end, within, least)
        # Each list keeps one place for new products: a quiet shop has fewer than they need.
        times = "once" if least == 1 else f"{least} times"
        possible = due > 0 and kept >= least * len(sold)
        rows.append(
            _row(
                f"new products shown {times} within {within} days",
                found, f"{due:,} listed; {kept:,} places kept, {least * len(sold):,} needed",
                target if possible else None, met=found >= target if possible else None,
            )
        )  # fmt: skip
    return rows


def _seen(
    shown: pl.DataFrame, sold: pl.DataFrame, end: datetime, within: int, least: int
) -> tuple[int, float]:
    """How many products were listed so many days ago or earlier, and which share was seen by then.

    The index is made at midnight: the first day begins with it.
    """
    until = pl.col("listed_at").dt.truncate("1d") + timedelta(days=1 + within)
    due = sold.with_columns(until=until).filter(pl.col("until") <= end)
    times = (
        shown.join(due, on="product_id")
        .filter(pl.col("event_at") < pl.col("until"))
        .group_by("product_id")
        .len()
    )
    return len(due), len(times.filter(pl.col("len") >= least)) / max(len(due), 1)


def _off_policy(ours: Fortnight) -> list[Row]:
    """Clicks per visit of the pipeline without exploration: estimated from the log, and true."""
    truth, found = estimated(ours)
    rows = [_row("clicks per visit without exploration, true", truth, "in the states of the log")]
    for name, each in found.items():
        asked = name != "logged"
        rows.append(
            _row(f"clicks per visit, {name}", each.value, f"{each.low:.4f} to {each.high:.4f}",
                 truth if asked else None, met=each.low <= truth <= each.high if asked else None)
        )  # fmt: skip
    return rows


def _interval(estimate: Any) -> str:
    return f"{estimate.low:.4f} to {estimate.high:.4f}, {estimate.sessions:,} visits"


def _row(
    metric: str, value: float, reference: str, target: float | None = None, met: bool | None = None
) -> Row:
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
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="agora-recommendation-") as scratch:
        home = given.home or Path(scratch)
        rows = run(home, given.sessions, given.days, given.customers, given.seed)
    write("recommendation", rows)
    show(rows, "A driven fortnight")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
