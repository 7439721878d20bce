from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from agora.systems.recommendation.dataset import labelled, requests
from tests.shopping.log import LATER, lake_of

if TYPE_CHECKING:
    from agora.stores.lake import Lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return lake_of(tmp_path_factory.mktemp("lake"))


def test_a_row_is_a_product_of_a_home_page(lake: Lake) -> None:
    found = labelled(lake, LATER)
    assert found["request_id"].to_list() == ["l1", "l1", "l2", "l4"]
    assert found["k"].to_list() == [2.0, 2.0, 1.0, 1.0]


def test_a_batch_asks_for_every_customer_who_did_something_lately(lake: Lake) -> None:
    made = requests(lake, date(2026, 4, 1))
    assert made["customer_id"].to_list() == ["c1", "c2"]
    assert made["event_at"].dt.date().to_list() == [date(2026, 4, 1)] * 2
    assert requests(lake, date(2026, 6, 1)).is_empty()
