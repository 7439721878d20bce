"""The driven fortnight as the benchmark runs it, small: a few days, few customers."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agora.entities.products import PRODUCTS_DAILY
from agora.items import catalogue_of
from agora.settings import Settings
from agora.stores.lake import Lake
from agora.systems.recommendation import SYSTEM
from benchmarks.models.recommendation import HISTORY, known_before, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CUSTOMERS, DAYS, SESSIONS = 600, 5, 120
FIRST = date(2026, 1, 5) + timedelta(days=HISTORY)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fortnight")


@pytest.fixture(scope="module")
def rows(home: Path) -> dict[str, dict[str, Any]]:
    found = run(home, sessions=SESSIONS, days=DAYS, customers=CUSTOMERS)
    return {row["metric"]: row for row in found}


def test_recommendations_sell_more_than_what_is_most_popular(rows: dict[str, Any]) -> None:
    lead = rows["lead in purchases per session"]
    assert lead["value"] > 0
    assert f"{SESSIONS * DAYS:,} visits" in lead["reference"]


def test_new_products_have_their_places_and_are_soon_shown(rows: dict[str, Any]) -> None:
    assert rows["new products' share of places"]["met"]
    assert rows["new products shown once within 3 days"]["met"]


def test_each_estimate_is_near_the_truth(rows: dict[str, Any]) -> None:
    """One run may miss an interval of 95 %; none of them misses one twice as wide."""
    truth = rows["clicks per visit without exploration, true"]["value"]
    for name in ("ips", "snips", "dr"):
        row = rows[f"clicks per visit, {name}"]
        low, high = (float(each) for each in row["reference"].split(" to "))
        assert row["target"] == truth
        assert abs(row["value"] - truth) < high - low < truth / 2


def test_features_of_a_driven_life_are_those_of_the_platforms_sql(
    home: Path, rows: dict[str, Any]
) -> None:
    lake = Lake(Settings(home=home).lake)
    midnight = datetime.combine(FIRST, datetime.min.time(), UTC)
    # What the SQL says of a midnight is known right after it.
    items = catalogue_of(SYSTEM, lake, midnight + timedelta(seconds=1))
    own = known_before(lake, FIRST).items(items, midnight)
    assert (items["product_impression_count_30d"] > 0).sum() > 100
    for name in PRODUCTS_DAILY.columns:
        absent = 0.0 if "count" in name else -1.0
        one, other = (f[name].cast(float).fill_nan(None).fill_null(absent) for f in (items, own))
        assert (one - other).abs().max() < 1e-4, name
