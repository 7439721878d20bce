from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from agora.systems.search.dataset import labelled, requests
from tests.shopping.log import LATER, lake_of

if TYPE_CHECKING:
    from agora.stores.lake import Lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return lake_of(tmp_path_factory.mktemp("lake"))


def test_a_row_is_a_product_shown_for_a_query_that_says_something(lake: Lake) -> None:
    found = labelled(lake, LATER)
    assert found["request_id"].to_list() == ["l3", "l3"]
    assert found["query"].unique().to_list() == ["lamp"]


def test_a_batch_asks_for_every_query_of_the_day_once(lake: Lake) -> None:
    made = requests(lake, date(2026, 4, 1))
    assert made["query"].to_list() == ["boots", "lamp"]
    assert made["event_at"].dt.date().to_list() == [date(2026, 4, 1)] * 2
    assert requests(lake, date(2026, 4, 2)).is_empty()
