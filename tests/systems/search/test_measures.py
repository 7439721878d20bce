"""Monitoring's two signs of failed searches, counted on a handful of rows."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from agora.stores.lake import Lake
from agora.systems.search.measures import measures

if TYPE_CHECKING:
    from pathlib import Path

DAY = date(2026, 5, 4)
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"))
    typed = [
        # Nothing clicked, typed anew: a reformulation. The second found what was meant.
        ("s1", "visit 1", "gutar", 0), ("s2", "visit 1", "guitar", 60),
        # Clicked before the next.
        ("s3", "visit 2", "lamp", 0), ("s4", "visit 2", "table", 60),
        # Too late, and the same words again.
        ("s5", "visit 3", "sofa", 0), ("s6", "visit 3", "couch", 3_600),
        ("s7", "visit 4", "novel", 0), ("s8", "visit 4", " Novel", 5),
    ]  # fmt: skip
    searches = pl.DataFrame(
        [(key, visit, query, NOON + timedelta(seconds=at)) for key, visit, query, at in typed],
        schema=["search_id", "session_id", "query", "event_at"], orient="row",
    )  # fmt: skip
    lake.write("marts/searches", searches)
    lake.write("marts/interactions", pl.DataFrame({"list_id": ["s3", None]}))
    return lake


def test_what_was_typed_anew_without_a_click_is_counted(lake: Lake) -> None:
    found = {each.metric: each for each in measures(lake, DAY)}
    assert found.keys() == {"reformulation_share"}
    assert (found["reformulation_share"].value, found["reformulation_share"].rows) == (1 / 8, 8)
    assert list(measures(lake, DAY + timedelta(days=1))) == []


def test_answers_without_products_are_counted_by_log(lake: Lake) -> None:
    outputs = [
        {"total": 0, "corrected": False}, {"total": 3, "corrected": True},
        {"total": 0, "corrected": False}, {"total": 9, "corrected": False},
    ]  # fmt: skip
    rows = pl.DataFrame(
        {"output": [json.dumps(each) for each in outputs], "prediction_date": [DAY] * 4}
    )
    lake.write("predictions/search", rows)
    found = {(each.metric, each.slice): each.value for each in measures(lake, DAY)}
    assert found["zero_result_share", "live"] == 0.5
    assert found["corrected_share", "live"] == 0.25
