from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agora.shopping.impressions import labelled
from tests.shopping.log import LATER, at, lake_of

if TYPE_CHECKING:
    from datetime import datetime

    from agora.stores.lake import Lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return lake_of(tmp_path_factory.mktemp("lake"))


def rows(lake: Lake, as_of: datetime, **asked: Any) -> list[dict[str, Any]]:
    given = {"surface": "home", "request": "k, filters, session", "event_at": "made_at", **asked}
    return labelled(lake, as_of, **given).to_dicts()


def gains(found: list[dict[str, Any]]) -> dict[tuple[str, str], int | None]:
    return {(row["request_id"], row["product_id"]): row["gain"] for row in found}


def test_a_row_is_a_product_of_its_surface_with_what_most_followed(lake: Lake) -> None:
    assert gains(rows(lake, LATER)) == {
        ("l1", "p1"): None, ("l1", "p2"): 3, ("l2", "p3"): 1, ("l4", "p1"): 1,
    }  # fmt: skip
    assert {name for name, _ in gains(rows(lake, LATER, surface="search"))} == {"l3", "l5"}


def test_what_has_not_arrived_is_not_known(lake: Lake) -> None:
    assert gains(rows(lake, at(40))) == {("l1", "p1"): None, ("l1", "p2"): 2, ("l2", "p3"): 1}


def test_what_does_not_count_is_left_out_whole(lake: Lake) -> None:
    found = rows(lake, LATER, where="position = 1 or query is not null")
    assert gains(found) == {("l1", "p1"): None, ("l2", "p3"): 1, ("l4", "p1"): 1}
    assert {row["k"] for row in found} == {1.0}


def test_the_session_is_what_the_visit_did_before_the_list(lake: Lake) -> None:
    sessions = {row["request_id"]: row["session"] for row in rows(lake, LATER)}
    assert sessions["l1"] is None
    assert [(e["product_id"], e["kind"]) for e in sessions["l2"]] == [
        ("p2", "click"), ("p2", "cart"), ("p9", "click"),
    ]  # fmt: skip
    assert sessions["l2"][0]["at"] == at(1)


def test_a_row_has_the_time_of_its_list_or_its_own(lake: Lake) -> None:
    asked = {"surface": "search", "where": "list_id = 'l3'"}
    assert [row["event_at"] for row in rows(lake, LATER, **asked)] == [at(5), at(5)]
    own = rows(lake, LATER, event_at="event_at", **asked)
    assert [row["event_at"] for row in own] == [at(5), at(6)]
