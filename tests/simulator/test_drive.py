from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from agora.simulator.baselines import MostPopular, Oracle
from agora.simulator.comparison import difference, purchases_per_session, together
from agora.simulator.drive import drive
from agora.simulator.play import ROUNDS
from agora.tables import TABLES
from tests.simulator.marketplaces import SHOP

if TYPE_CHECKING:
    from agora.simulator.world import World

DAY = SHOP.end
SESSIONS = 250


@pytest.fixture(scope="module")
def popular(world: World, visited) -> MostPopular:
    return MostPopular(world, visited["interactions"], DAY)


def test_knowing_the_truth_sells_more_than_most_popular(world: World, visited, popular):
    oracle = Oracle(world, visited["interactions"], DAY)
    days = [DAY + timedelta(days=number) for number in range(2)]
    one, other = (
        together([drive(world, ask, day, SESSIONS, seed=3) for day in days])
        for ask in (oracle, popular)
    )
    found = difference(one, other)
    assert found.sessions == len(days) * SESSIONS
    assert found.low > 0
    assert found.mean == pytest.approx(
        purchases_per_session(one).mean - purchases_per_session(other).mean
    )


def test_the_same_lists_and_seed_give_the_same_purchases(world: World, popular):
    one, again = (drive(world, popular, DAY, 60, seed=4) for _ in range(2))
    assert all(one[name].equals(again[name]) for name in one)
    found = difference(one, again)
    assert (found.mean, found.low, found.high) == (0.0, 0.0, 0.0)
    assert not drive(world, popular, DAY, 60, seed=5)["impressions"].equals(one["impressions"])


def test_a_session_tells_what_was_done_before(world: World, popular):
    asked: list[dict[str, Any]] = []

    def ask(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        asked.extend(requests)
        return popular(requests)

    frames = drive(world, ask, DAY, 200, seed=6)
    clicks = frames["interactions"].group_by("session_id").len()
    told = [request for request in asked if request.get("session")]
    assert 0 < len(told) < clicks.height
    for request in told:
        times = [event["at"] for event in request["session"]]
        assert times == sorted(times)
        assert times[-1] < request["event_at"]
        assert {event["kind"] for event in request["session"]} <= {"click", "cart", "purchase"}
    queries = {request["request_id"]: request["query"] for request in asked if "query" in request}
    assert queries == dict(frames["searches"].select("search_id", "query").iter_rows())
    assert {request["customer_id"] for request in asked} > {None}


def test_no_answer_and_unknown_products_leave_empty_places(world: World, popular):
    def ask(requests: list[dict[str, Any]]) -> list[dict[str, Any] | None]:
        answers: list[dict[str, Any] | None] = list(popular(requests))
        answers[0] = None
        for answer in answers[1:]:
            if answer and answer["items"]:
                answer["items"][0]["product_id"] = "gone"
        return answers

    frames = drive(world, ask, DAY, 50, seed=7)
    assert frames["impressions"]["position"].min() == 2
    assert set(frames) == {"searches", "impressions", "interactions"}
    for name, frame in frames.items():
        assert tuple(frame.columns) == TABLES[name].names


def test_without_answers_nothing_is_shown_and_nothing_breaks(world: World):
    frames = drive(world, lambda requests: [None] * len(requests), DAY, 30, seed=8)
    assert frames["impressions"].is_empty()
    assert frames["interactions"].is_empty()
    assert (frames["searches"]["results"] == 0).all()
    assert len(ROUNDS) == 4


def test_propensities_are_those_of_the_answers(world: World, popular):
    def ask(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        answers = popular(requests)
        for answer in answers:
            for item in answer["items"]:
                item["propensity"] = None if item["position"] > 3 else 0.25
        return answers

    shown = drive(world, ask, DAY, 20, seed=9)["impressions"]
    assert set(shown.filter(pl.col("position") <= 3)["propensity"]) == {0.25}
    assert set(shown.filter(pl.col("position") > 3)["propensity"]) == {None}
