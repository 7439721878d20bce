from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from agora.simulator.baselines import MostPopular, Oracle
from agora.simulator.drive import drive
from agora.simulator.instead import drive_and_judge
from tests.simulator.marketplaces import SHOP

if TYPE_CHECKING:
    from agora.simulator.world import World

DAY, VISITS = SHOP.end, 600


@pytest.fixture(scope="module")
def popular(world: World, visited) -> MostPopular:
    return MostPopular(world, visited["interactions"], DAY)


@pytest.fixture(scope="module")
def oracle(world: World, visited) -> Oracle:
    return Oracle(world, visited["interactions"], DAY)


def test_the_chance_of_a_list_is_how_often_it_is_clicked(world: World, popular) -> None:
    frames, judged = drive_and_judge(world, popular, popular, DAY, VISITS, seed=8)
    home = frames["impressions"].filter(surface="home")
    places = ["session_id", "list_id", "position", "product_id"]
    assert judged.select(places).sort(places).equals(home.select(places).sort(places))
    done = frames["interactions"].join(judged.select("list_id").unique(), on="list_id")
    for column, kind in (("chance", "click"), ("sale", "purchase")):
        expected = judged[column].sum()
        # As many as independent draws give, within four standard errors.
        assert abs(len(done.filter(kind=kind)) - expected) < 4 * expected**0.5


def test_who_is_judged_is_who_was_shown_the_lists(world: World, popular, oracle) -> None:
    told: dict[str, list[Any]] = {"ask": [], "instead": []}

    def ask(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        told["ask"] += [each for each in requests if "query" not in each]
        return popular(requests)

    def instead(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        told["instead"] += requests
        return oracle(requests)

    frames, judged = drive_and_judge(world, ask, instead, DAY, VISITS, seed=8)
    alone = drive(world, popular, DAY, VISITS, seed=8)
    assert all(frames[name].equals(alone[name]) for name in alone)
    assert told["ask"] == told["instead"]
    assert any(request["session"] for request in told["instead"])
    assert judged["list_id"].n_unique() == len(told["instead"])


def test_a_list_that_knows_tastes_is_worth_more_at_the_same_visits(
    world: World, popular, oracle
) -> None:
    worth = {}
    for name, other in (("popular", popular), ("oracle", oracle)):
        _, judged = drive_and_judge(world, popular, other, DAY, VISITS, seed=9)
        worth[name] = judged.group_by("list_id").agg(pl.col("sale").sum()).sort("list_id")
    gain = (worth["oracle"]["sale"] - worth["popular"]["sale"]).to_numpy()
    assert gain.mean() > 4 * gain.std() / np.sqrt(len(gain))
