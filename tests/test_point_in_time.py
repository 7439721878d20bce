"""The point-in-time join: equal to looking at every row, blind to the future."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from polars.testing import assert_frame_equal

from agora.point_in_time import point_in_time
from agora.stores.lake import Lake
from agora.stores.snapshot import Snapshot
from tests.feature_histories import (
    CARD,
    CARDS,
    KEYS,
    LAST,
    MERCHANTS,
    SETS,
    SPINES,
    TIME,
    as_known,
    at,
    histories,
    land,
    table_schema,
)

if TYPE_CHECKING:
    from pathlib import Path

SAME_FOLDER = HealthCheck.function_scoped_fixture
TARGETS = [name for each in SETS for name in (*each.columns, each.time_column)]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@settings(max_examples=60, deadline=None, suppress_health_check=[SAME_FOLDER])
@given(cards=histories(CARDS), merchants=histories(MERCHANTS), spine=SPINES)
def test_the_join_equals_looking_at_every_row(
    lake: Lake, cards: pl.DataFrame, merchants: pl.DataFrame, spine: pl.DataFrame
) -> None:
    shutil.rmtree(lake.root, ignore_errors=True)
    land(lake, CARDS, cards)
    land(lake, MERCHANTS, merchants)
    joined = point_in_time(lake, spine, KEYS, SETS)
    expected = [
        (*as_known(CARDS, cards, card, t), *as_known(MERCHANTS, merchants, merchant, t))
        for card, merchant, t, _ in spine.iter_rows()
    ]
    assert_frame_equal(joined.select(spine.columns), spine)
    found = joined.select(TARGETS)
    assert_frame_equal(found, pl.DataFrame(expected, schema=found.schema, orient="row"))


def test_features_never_see_the_future(lake: Lake) -> None:
    """A thousand corrections that happen or arrive at or after t change nothing at t."""
    rng = np.random.default_rng(0)
    known, late = _history(rng, 200, 1.0), _history(rng, 1_000, 1e9)
    spine = pl.DataFrame(
        {"card_id": [f"c{i}" for i in range(20)] * 12, "event_at": [at(i) for i in range(12)] * 20},
        schema_overrides={"event_at": TIME},
    )
    keys = {CARD: "card_id"}
    for t in range(0, LAST, 3):
        rows = spine.filter(pl.col("event_at") <= at(t))
        land(lake, CARDS, known)
        before = point_in_time(lake, rows, keys, [CARDS])
        # Some happen later, some are told later, some at the very moment.
        future = late.with_columns(
            feature_at=pl.max_horizontal("feature_at", pl.when(pl.col("mean") < 0).then(at(t))),
            arrived_at=pl.max_horizontal("arrived_at", pl.when(pl.col("mean") >= 0).then(at(t))),
        ).with_columns(feature_date=pl.col("arrived_at").dt.date())
        land(lake, CARDS, pl.concat([known, future]))
        assert_frame_equal(point_in_time(lake, rows, keys, [CARDS]), before)
        assert (before["card_count"] < 1e9).all()


def _history(rng: np.random.Generator, rows: int, scale: float) -> pl.DataFrame:
    moments = rng.integers(0, LAST * 12 * 3_600, (2, rows))
    start = at(0)
    times = [[start + timedelta(seconds=int(second)) for second in row] for row in moments]
    return pl.DataFrame(
        {
            "card_id": [f"c{i}" for i in rng.integers(0, 20, rows)],
            "feature_at": times[0],
            "arrived_at": times[1],
            "feature_date": [time.date() for time in times[1]],
            "count": rng.random(rows) * scale + (scale if scale > 1 else 0),
            "mean": rng.normal(size=rows),
        },
        schema=table_schema(CARDS),
    )


def test_a_row_that_holds_at_the_very_moment_is_not_seen(lake: Lake) -> None:
    land(lake, CARDS, _rows([("a", at(2), at(2), 1.0)]))
    spine = _spine([("a", at(2)), ("a", at(2) + timedelta(microseconds=1))])
    assert point_in_time(lake, spine, {CARD: "card_id"}, [CARDS])["card_count"].to_list() == [0, 1]


def test_a_late_row_of_an_older_moment_does_not_replace_a_newer_one(lake: Lake) -> None:
    land(lake, CARDS, _rows([("a", at(5), at(5), 5.0), ("a", at(3), at(7), 3.0)]))
    spine = _spine([("a", at(6)), ("a", at(8))])
    assert point_in_time(lake, spine, {CARD: "card_id"}, [CARDS])["card_count"].to_list() == [5, 5]


def test_a_replayed_request_reads_at_the_moment_it_was_answered(lake: Lake) -> None:
    land(lake, CARDS, _rows([("a", at(1), at(1), 1.0), ("a", at(2), at(3), 2.0)]))
    spine = _spine([("a", at(3)), ("a", at(3))]).with_columns(
        known_at=pl.Series([None, at(4)], dtype=TIME)
    )
    assert point_in_time(lake, spine, {CARD: "card_id"}, [CARDS])["card_count"].to_list() == [1, 2]


def test_a_snapshot_reads_what_it_read_first(lake: Lake) -> None:
    land(lake, CARDS, _rows([("a", at(1), at(1), 1.0)]))
    snapshot, spine = Snapshot.of(lake), _spine([("a", at(9))])
    before = point_in_time(snapshot, spine, {CARD: "card_id"}, [CARDS])
    version = lake.version(CARDS.table)
    land(lake, CARDS, _rows([("a", at(2), at(2), 2.0)]))
    assert_frame_equal(point_in_time(snapshot, spine, {CARD: "card_id"}, [CARDS]), before)
    assert snapshot.versions == {CARDS.table: version}
    assert lake.version(CARDS.table) > version


@pytest.mark.parametrize(
    ("spine", "message"),
    [
        (pl.DataFrame({"event_at": [at(0)]}), "card_id: ids must be strings"),
        (pl.DataFrame({"card_id": [1], "event_at": [at(0)]}), "card_id: ids must be strings"),
        (pl.DataFrame({"card_id": ["a"]}), "event_at: times must be UTC"),
        (pl.DataFrame({"card_id": ["a"], "event_at": [at(0).replace(tzinfo=None)]}), "must be UTC"),
        (
            pl.DataFrame({"card_id": ["a"], "event_at": [at(0)], "card_count": [1.0]}),
            "would stand twice: card_count",
        ),
    ],
)
def test_a_spine_that_does_not_fit_is_refused_by_name(
    lake: Lake, spine: pl.DataFrame, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        point_in_time(lake, spine, {CARD: "card_id"}, [CARDS])


def test_a_table_that_was_not_built_is_named(lake: Lake) -> None:
    with pytest.raises(LookupError, match="ftr_cards__test has not been built"):
        point_in_time(lake, _spine([("a", at(0))]), {CARD: "card_id"}, [CARDS])


def _rows(rows: list[tuple[object, ...]]) -> pl.DataFrame:
    return pl.DataFrame(
        [(i, feature, arrived, arrived.date(), count, 0.0) for i, feature, arrived, count in rows],
        schema=table_schema(CARDS),
        orient="row",
    )


def _spine(rows: list[tuple[object, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"card_id": pl.String, "event_at": TIME}, orient="row")
