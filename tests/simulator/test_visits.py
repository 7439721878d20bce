from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from agora.simulator import truth
from agora.simulator.params import DAY, microseconds
from agora.simulator.play import play
from agora.simulator.storefront import Storefront
from agora.simulator.visits import make_plan
from agora.simulator.world import make_world
from tests.simulator.marketplaces import SHOP

if TYPE_CHECKING:
    from agora.simulator.world import World


def with_clicks(visited: dict[str, pl.DataFrame]) -> pl.DataFrame:
    clicks = (
        visited["interactions"]
        .filter(kind="click")
        .select("list_id", "product_id", clicked=pl.lit(1))
    )
    shown = visited["impressions"].join(clicks, on=["list_id", "product_id"], how="left")
    return shown.with_columns(pl.col("clicked").fill_null(0))


def auc(score: np.ndarray, label: np.ndarray) -> float:
    ranks = np.argsort(np.argsort(score)) + 1
    ones = label.sum()
    return float((ranks[label == 1].sum() - ones * (ones + 1) / 2) / ones / (len(label) - ones))


def test_the_same_product_is_clicked_less_the_lower_it_stands(visited):
    shown = with_clicks(visited)
    # Neighbours change places by chance alone: the same products at both places.
    for surface, row in (("home", 0), ("search", 1)):
        here = shown.filter(surface=surface).with_columns(
            chance=pl.col("clicked") / pl.col("propensity")
        )
        pairs = here.group_by("product_id", "position").agg(pl.col("clicked").mean(), pl.len())
        first, second = (pairs.filter(position=place) for place in (1, 2))
        both = first.join(second, on="product_id", suffix="_2").filter(
            (pl.col("len") >= 5) & (pl.col("len_2") >= 5)
        )
        weight = both.select(pl.min_horizontal("len", "len_2")).to_series()
        ratio = (both["clicked_2"] * weight).sum() / (both["clicked"] * weight).sum()
        expected = truth.EXAMINED[row][1] / truth.EXAMINED[row][0]
        assert ratio == pytest.approx(expected, abs=0.2), surface
        assert ratio < 1.0


def test_clicks_follow_the_true_worth(world: World, visited):
    shown = with_clicks(visited).filter(pl.col("surface") == "home").drop_nulls("customer_id")
    customer = world.customers_at(shown["customer_id"])
    product = world.products_at(shown["product_id"])
    moment = shown["event_at"].to_physical().to_numpy()
    taste = (world.tastes.at(customer, moment) * world.goods.vector[product]).sum(1)
    clicked = shown["clicked"].to_numpy()
    assert auc(taste, clicked) > 0.65
    assert auc(world.goods.quality[product], clicked) > 0.52
    examined = truth.EXAMINED[truth.HOME][shown["position"].to_numpy() - 1]
    assert auc(taste + 0.3 * np.log(examined), clicked) > auc(taste, clicked)


def test_carts_follow_clicks_and_purchases_follow_carts(visited):
    done = visited["interactions"]
    steps = done.pivot("kind", index=["list_id", "product_id"], values="event_at")
    assert steps["click"].null_count() == 0
    assert (steps["cart"] > steps["click"]).drop_nulls().all()
    assert (steps["purchase"] > steps["cart"]).drop_nulls().all()
    assert steps.filter(pl.col("purchase").is_not_null())["cart"].null_count() == 0
    counts = done.group_by("kind").len().sort("len", descending=True)["kind"].to_list()
    assert counts == ["click", "cart", "purchase"]


def test_every_interaction_is_with_a_product_that_was_shown(visited):
    shown = visited["impressions"].select("list_id", "product_id", shown_at="event_at")
    found = visited["interactions"].join(shown, on=["list_id", "product_id"], how="left")
    assert len(found) == len(visited["interactions"])
    assert (found["event_at"] > found["shown_at"]).all()


def test_each_day_has_new_customers_and_new_products_and_both_are_met(world: World, visited):
    goods, customers = world.goods, world.marketplace.customers
    opens = SHOP.start_at + DAY * np.arange(SHOP.days + 1)
    assert (np.histogram(goods.created_at, opens)[0] > 0).all()
    assert (np.histogram(customers.joined_at, opens)[0] > 0).mean() > 0.9
    new = set(world.product_ids.filter(pl.Series(goods.created_at >= SHOP.start_at)))
    shown = visited["impressions"].filter(pl.col("product_id").is_in(new))
    assert shown.height / visited["impressions"].height > 0.02
    assert shown["product_id"].n_unique() > 0.5 * SHOP.launches_per_day * SHOP.days


def test_what_is_out_of_stock_is_neither_shown_nor_bought(world: World, visited):
    goods = world.goods
    for name in ("impressions", "interactions"):
        frame = visited[name]
        product = world.products_at(frame["product_id"])
        midnight = frame["event_at"].to_physical().to_numpy() // DAY * DAY
        assert (goods.created_at[product] < midnight).all()
        if name == "impressions":
            assert (goods.stock_at(product, midnight) > 0).all()
    bought = visited["interactions"].filter(kind="purchase")
    lists = visited["impressions"].select("list_id", "product_id", asked_at="event_at")
    asked = bought.join(lists, on=["list_id", "product_id"])
    moment = asked["asked_at"].to_physical().to_numpy()
    assert (goods.stock_at(world.products_at(asked["product_id"]), moment) > 0).all()


def test_some_searches_find_nothing_and_are_typed_again(visited):
    searches = visited["searches"].sort("event_at")
    assert 0.08 < (searches["results"] == 0).mean() < 0.3
    twice = searches.filter(pl.len().over("session_id") == 2)
    first, second = (
        twice.group_by("session_id", maintain_order=True).agg(pl.all().get(number))
        for number in (0, 1)
    )
    assert (first["query"] != second["query"]).mean() > 0.5
    assert (second["results"] == 0).mean() < 0.5 * (first["results"] == 0).mean()


def test_tastes_turn_slowly_and_everyone_at_their_own_speed(world: World):
    who = np.arange(len(world.customer_ids))
    first = world.tastes.at(who, np.full(len(who), SHOP.start_at))
    later = world.tastes.at(who, np.full(len(who), SHOP.start_at + 100 * DAY))
    turned = np.arccos(np.clip((first * later).sum(1), -1, 1))
    assert np.allclose(np.linalg.norm(later, axis=1), 1.0)
    assert turned.mean() == pytest.approx(SHOP.taste_drift, rel=0.1)
    assert turned.std() > 0.1


def test_the_shops_propensities_are_how_often_it_shows_a_product(world: World):
    day = SHOP.start + timedelta(days=3)
    plan = make_plan(world, day, 40, 1, "repeated")
    # Everybody is the same stranger: one page, drawn many times.
    plan = replace(plan, is_known=np.zeros(40, dtype=bool), enters_by_home=np.ones(40, dtype=bool))
    shop = Storefront(world, 5)
    shop.open(microseconds(day))
    shown, propensities = [], []
    for _ in range(150):
        lists = play(world, plan, shop, 1).lists[0]
        shown.append(lists.product)
        propensities.append(lists.propensity)
    product, propensity = np.concatenate(shown), np.concatenate(propensities)
    for place in range(product.shape[1]):
        found, at, counts = np.unique(product[:, place], return_index=True, return_counts=True)
        logged = propensity[at, place]
        error = np.abs(counts / len(product) - logged) / np.sqrt(
            logged * (1 - logged) / len(product)
        )
        assert error.max() < 4.5, place
        assert logged.sum() == pytest.approx(1.0, abs=0.02)
        assert len(found) > 5


def test_a_world_is_drawn_again_from_its_parameters(world: World):
    again = make_world(SHOP)
    assert again.product_ids.equals(world.product_ids)
    assert np.array_equal(again.goods.vector, world.goods.vector)
    assert np.array_equal(again.tastes.now, world.tastes.now)
