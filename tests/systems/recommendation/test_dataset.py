from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from agora.stores.lake import Lake
from agora.systems.recommendation.dataset import labelled, requests
from agora.systems.recommendation.outcomes import outcomes
from agora.systems.recommendation.schema import Outcome

DAY = datetime(2026, 4, 1, 12, tzinfo=UTC)
LATER = DAY + timedelta(days=2)
ANSWER = "019ea3f0-6c00-7abc-8def-0123456789ab"


def at(minutes: float) -> datetime:
    return DAY + timedelta(minutes=minutes)


def shown(list_id: str, product: str, position: int, minutes: float, **more: Any) -> dict[str, Any]:
    return {
        "impression_id": f"{list_id}-{position}", "list_id": list_id, "surface": "home",
        "session_id": "s1", "customer_id": "c1", "product_id": product, "position": position,
        "propensity": 0.5, "query": None, "event_at": at(minutes), "arrived_at": at(minutes + 1),
        **more,
    }  # fmt: skip


def done(product: str, kind: str, minutes: float, **more: Any) -> dict[str, Any]:
    return {
        "interaction_id": f"{product}-{kind}-{minutes}", "list_id": "l1", "session_id": "s1",
        "customer_id": "c1", "product_id": product, "kind": kind, "event_at": at(minutes),
        "arrived_at": at(minutes + 1), **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = Lake(str(tmp_path_factory.mktemp("lake")))
    impressions = [
        shown("l1", "p1", 1, 0), shown("l1", "p2", 2, 0), shown("l2", "p3", 1, 30),
        shown("l3", "p1", 1, 5, surface="search", query="lamp"),
        shown("l4", "p1", 1, 60, session_id="s2", customer_id=None),
    ]  # fmt: skip
    interactions = [
        done("p2", "click", 1), done("p2", "cart", 2), done("p2", "purchase", 2_000),
        done("p9", "click", 10, list_id=None),
        done("p3", "click", 31, list_id="l2"),
        done("p1", "click", 61, list_id="l4", session_id="s2", customer_id=None),
        done("p7", "click", 90, list_id=ANSWER, customer_id="c2"),
    ]  # fmt: skip
    for name, rows in (("impressions", impressions), ("interactions", interactions)):
        frame = pl.DataFrame(rows, infer_schema_length=None)
        made.write(f"marts/{name}", frame.with_columns(arrival_date=pl.col("arrived_at").dt.date()))
    return made


def rows(lake: Lake, as_of: datetime) -> list[dict[str, Any]]:
    return labelled(lake, as_of).to_dicts()


def test_a_row_is_a_product_of_a_home_page_with_what_most_followed(lake: Lake) -> None:
    found = {(row["request_id"], row["product_id"]): row["gain"] for row in rows(lake, LATER)}
    assert found == {("l1", "p1"): None, ("l1", "p2"): 3, ("l2", "p3"): 1, ("l4", "p1"): 1}


def test_what_has_not_arrived_is_not_known(lake: Lake) -> None:
    found = {(row["request_id"], row["product_id"]): row["gain"] for row in rows(lake, at(40))}
    assert found == {("l1", "p1"): None, ("l1", "p2"): 2, ("l2", "p3"): 1}


def test_the_session_is_what_the_visit_did_before_the_list(lake: Lake) -> None:
    sessions = {row["request_id"]: row["session"] for row in rows(lake, LATER)}
    assert sessions["l1"] is None
    assert [(e["product_id"], e["kind"]) for e in sessions["l2"]] == [
        ("p2", "click"), ("p2", "cart"), ("p9", "click"),
    ]  # fmt: skip
    assert sessions["l2"][0]["at"] == at(1)


def test_a_batch_asks_for_every_customer_who_did_something_lately(lake: Lake) -> None:
    made = requests(lake, date(2026, 4, 1))
    assert made["customer_id"].to_list() == ["c1", "c2"]
    assert made["event_at"].dt.date().to_list() == [date(2026, 4, 1)] * 2
    assert requests(lake, date(2026, 6, 1)).is_empty()


def test_outcomes_name_the_list_by_either_id(lake: Lake) -> None:
    found = outcomes(lake, LATER)
    by_answer = found.filter(pl.col("prediction_id").is_not_null())
    assert by_answer["prediction_id"].to_list() == [ANSWER]
    bought = found.filter(source="purchase")
    assert bought["request_id"].to_list() == ["l1"]
    assert bought["precedence"][0] > found.filter(source="cart")["precedence"][0]


def test_a_report_becomes_an_interaction_and_needs_a_list() -> None:
    told = {"product_id": "p1", "kind": "cart"}
    report = Outcome.model_validate({**told, "list_id": "l1"})
    row = report.reported("l1", "shop").row
    assert (row["list_id"], row["session_id"], row["kind"]) == ("l1", "l1", "cart")
    assert Outcome.model_validate(told).lacks() == "list_id"
