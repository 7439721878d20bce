"""The point-in-time join against the ASOF JOIN that one would write by hand.

Both read the same Delta table and give the same rows, which is checked. The hand-written join is
right only because this table is in order of arrival, fills no defaults, and returns the rows in any
order; ours finds out that the table is in order, fills, and keeps the spine's order. The runs
alternate in one process, so that both see the same machine.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

from agora.features import Entity, Feature, FeatureSet
from agora.point_in_time import point_in_time
from agora.stores.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Callable

CARD = Entity("card", "A payment card.")
TARGET = 1.3
WIDTH = 20
DAYS = 10
DAY = 86_400_000_000
START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1_000_000)


def run(rows: int = 1_000_000, entities: int = 100_000, pairs: int = 5) -> list[dict[str, Any]]:
    """Median over the pairs of our time over the hand-written join's."""
    feature_set = FeatureSet(
        name="cards__benchmark",
        entity=CARD,
        features=tuple(Feature(f"f{i}", "A number.") for i in range(WIDTH)),
        description="One row per card and day.",
        freshness=timedelta(days=1),
        owner="team:benchmark",
    )
    with tempfile.TemporaryDirectory() as folder:
        lake, rng = Lake(folder), np.random.default_rng(0)
        lake.write(feature_set.table, _history(rng, entities), partition_by="feature_date")
        spine = _spine(rng, rows, entities)
        ratios = []
        for _ in range(pairs + 1):
            theirs, by_hand = _timed(lambda: hand_written(lake, spine, feature_set))
            ours, joined = _timed(
                lambda: point_in_time(lake, spine, {CARD: "card_id"}, [feature_set])
            )
            ratios.append(ours / theirs)
        expected = by_hand.sort("payment_id").fill_null(float("nan"))
        assert_frame_equal(joined.fill_null(float("nan")), expected)
    # The first pair pays for loading libraries and files.
    ratio = statistics.median(ratios[1:])
    return [
        {
            "benchmark": "features",
            "system": "features",
            "metric": "point_in_time_join_ratio",
            "value": round(ratio, 3),
            "target": TARGET,
            "reference": f"hand-written ASOF JOIN, {rows:,} x {WIDTH}, {entities:,} entities",
            "unit": "ratio",
            "met": ratio <= TARGET,
        }
    ]


def hand_written(lake: Lake, spine: pl.DataFrame, feature_set: FeatureSet) -> pl.DataFrame:
    """What one would write for a table known to be in order of arrival."""
    names = zip(feature_set.names, feature_set.columns, strict=True)
    features = ", ".join(f"f.{name} as {column}" for name, column in names)
    with duckdb.connect(":memory:") as connection:
        connection.execute("set TimeZone='UTC'")
        connection.register("spine", spine.to_arrow())
        return pl.DataFrame(
            connection.sql(
                f"select s.*, {features}, f.feature_at as {feature_set.time_column} "
                f"from spine as s asof left join ({lake.scan(feature_set.table)}) as f "
                "on s.card_id = f.card_id and s.event_at > f.arrived_at"
            ).to_arrow_table()
        )


def _history(rng: np.random.Generator, entities: int) -> pl.DataFrame:
    rows = entities * DAYS
    feature_at = (
        START + np.repeat(np.arange(DAYS), entities) * DAY + rng.integers(0, DAY // 2, rows)
    )
    arrived_at = pl.Series(feature_at + rng.integers(0, DAY // 4, rows))
    return pl.DataFrame(
        {
            "card_id": [f"card-{i}" for i in range(entities)] * DAYS,
            "feature_at": pl.Series(feature_at).cast(pl.Datetime("us", "UTC")),
            "arrived_at": arrived_at.cast(pl.Datetime("us", "UTC")),
            "feature_date": arrived_at.cast(pl.Datetime("us")).dt.date(),
        }
        | {f"f{i}": rng.random(rows) for i in range(WIDTH)}
    )


def _spine(rng: np.random.Generator, rows: int, entities: int) -> pl.DataFrame:
    event_at = pl.Series(START + rng.integers(0, DAYS * DAY, rows))
    return pl.DataFrame(
        {
            "payment_id": np.arange(rows),
            "card_id": pl.Series(rng.integers(0, entities, rows)).cast(pl.String),
            "event_at": event_at.cast(pl.Datetime("us", "UTC")),
            "amount": rng.random(rows),
        }
    ).with_columns(card_id="card-" + pl.col("card_id"))


def _timed(join: Callable[[], pl.DataFrame]) -> tuple[float, pl.DataFrame]:
    start = time.perf_counter()
    frame = join()
    return time.perf_counter() - start, frame


if __name__ == "__main__":
    for result in run():
        print(result)
