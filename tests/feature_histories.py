"""Random histories of features: late, corrected, skewed, tied; and what a reader must see."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
from hypothesis import strategies as st

from agora.features import Entity, Feature, FeatureSet

if TYPE_CHECKING:
    from agora.stores.lake import Lake

CARD = Entity("card", "A payment card.")
MERCHANT = Entity("merchant", "Someone who is paid.")
CARDS = FeatureSet(
    name="cards__test",
    entity=CARD,
    features=(Feature("count", "Payments.", 0.0), Feature("mean", "Mean amount.")),
    description="One row per card and change.",
    freshness=timedelta(days=1),
    owner="team:test",
)
MERCHANTS = FeatureSet(
    name="merchants__test",
    entity=MERCHANT,
    features=(Feature("risk", "Share of frauds.", -1.0),),
    description="One row per merchant and change.",
    freshness=timedelta(days=1),
    owner="team:test",
)
SETS = (CARDS, MERCHANTS)
KEYS = {CARD: "card_id", MERCHANT: "merchant"}
START = datetime(2026, 3, 1, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")
LAST = 12

# Few moments, twelve hours apart: equal times are the rule and a history spans several days.
MOMENTS = st.integers(0, LAST)
IDS = st.sampled_from(["a", "b", "c", "a b'\"", "ü"])
VALUES = st.none() | st.floats(allow_nan=True, allow_infinity=True)


def at(moment: int) -> datetime:
    """A moment as a time."""
    return START + timedelta(hours=12) * moment


@st.composite
def histories(draw: st.DrawFn, feature_set: FeatureSet) -> pl.DataFrame:
    """Rows of a feature table, some in order of arrival, some that hold when they arrive."""
    keys = draw(st.lists(st.tuples(IDS, MOMENTS, MOMENTS), unique=True, max_size=25))
    order = draw(st.sampled_from(["any", "any", "in order", "at once"]))
    if order == "at once":
        keys = sorted({(entity_id, arrived, arrived) for entity_id, _, arrived in keys})
    if order == "in order":
        keys = [(i, min(feature, arrived), arrived) for i, feature, arrived in keys]
        newest = {(i, a): max(f for j, f, b in keys if j == i and b <= a) for i, _, a in keys}
        keys = sorted({(i, newest[i, arrived], arrived) for i, _, arrived in keys})
    width = len(feature_set.features)
    values = [draw(st.lists(VALUES, min_size=width, max_size=width)) for _ in keys]
    rows = [
        (entity_id, at(feature), at(arrived), at(arrived).date(), *row)
        for (entity_id, feature, arrived), row in zip(keys, values, strict=True)
    ]
    return pl.DataFrame(rows, schema=table_schema(feature_set), orient="row")


SPINE = {"card_id": pl.String, "merchant": pl.String, "event_at": TIME, "amount": pl.Float64}
SPINES = st.lists(
    st.tuples(
        st.none() | IDS | st.just("unknown"), st.none() | IDS, st.none() | MOMENTS.map(at), VALUES
    ),
    max_size=30,
).map(lambda rows: pl.DataFrame(rows, schema=SPINE, orient="row"))


def table_schema(feature_set: FeatureSet) -> dict[str, Any]:
    """Columns of a feature table."""
    return {
        feature_set.entity.key: pl.String,
        "feature_at": TIME,
        "arrived_at": TIME,
        "feature_date": pl.Date,
    } | {name: pl.Float64 for name in feature_set.names}


def land(lake: Lake, feature_set: FeatureSet, history: pl.DataFrame) -> None:
    """Write a history as the feature table."""
    lake.write(feature_set.table, history, partition_by="feature_date")


def as_known(
    feature_set: FeatureSet, history: pl.DataFrame, entity_id: str | None, t: datetime | None
) -> tuple[Any, ...]:
    """The features and the time that a reader must see at t, found by looking at every row."""
    rows = [
        row
        for row in history.iter_rows(named=True)
        if t is not None
        and row[feature_set.entity.key] == entity_id
        and row["feature_at"] < t
        and row["arrived_at"] < t
    ]
    if not rows:
        return (*feature_set.defaults, None)
    newest = max(rows, key=lambda row: (row["feature_at"], row["arrived_at"]))
    nan = float("nan")
    values = [nan if newest[name] is None else newest[name] for name in feature_set.names]
    return (*values, newest["feature_at"])
