from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from agora.pipeline import predict
from agora.systems.recommendation import SYSTEM
from agora.systems.recommendation.instead import instead
from agora.systems.recommendation.learning import PLACES, lists_of
from agora.systems.recommendation.value import value
from tests.systems.recommendation.shop import CATEGORIES, catalogue, fitted, quiet, visits

if TYPE_CHECKING:
    from agora.evaluation import Estimate
    from agora.shopping.lists import Lists
    from agora.systems.recommendation.pipeline import RecommendationPipeline

VISITS = 400
FEATURES = [c for each in SYSTEM.items.feature_sets for c in (*each.columns, each.time_column)]


def wanted(taste: np.ndarray, number: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Chance of a click: what is of the visitor's kind is liked."""
    return np.where(number % CATEGORIES == taste, 0.5, 0.05) / position**0.5


@cache
def logged() -> tuple[Lists, pl.DataFrame]:
    """Lists that the pipeline showed, and the visits, in their order."""
    asked = visits(VISITS, seed=12).with_columns(k=pl.lit(float(PLACES)))
    asked = asked.sort("event_at", "request_id")
    items = predict(fitted(), asked)["items"]
    rows = (
        pl.concat([asked, items.to_frame()], how="horizontal")
        .explode("items")
        .unnest("items")
        .join(catalogue().select("product_id", *FEATURES), on="product_id", how="left",
              maintain_order="left")
    )  # fmt: skip
    chance = wanted(
        rows["taste"].to_numpy(),
        rows["product_id"].str.slice(1).cast(pl.Int64).to_numpy(),
        rows["position"].to_numpy(),
    )
    clicks = np.random.default_rng(3).random(len(rows)) < chance
    return lists_of(rows.with_columns(gain=pl.Series(clicks * 1))), asked


def judged(pipeline: RecommendationPipeline) -> dict[str, Estimate]:
    lists, _ = logged()
    every = np.arange(len(lists))
    return value(pipeline, lists, instead(pipeline, lists.columns, every, PLACES), every)


def test_the_lists_that_were_shown_are_worth_what_they_earned() -> None:
    found = judged(fitted())
    lists, _ = logged()
    earned = (lists.gains > 0).sum() / len(lists)
    for name in ("logged", "ips", "snips"):
        assert found[f"clicks_per_list_{name}"].value == pytest.approx(earned)
    assert found["effective_share"].value == pytest.approx(1)
    assert found["supported_share"].value == pytest.approx(1)


def test_intervals_hold_what_the_same_visitors_would_take_of_other_lists() -> None:
    other = quiet(fitted())
    _, asked = logged()
    lists = predict(other, asked)["items"].to_list()
    truth = np.mean(
        [
            wanted(
                np.array(taste),
                np.array([int(item["product_id"][1:]) for item in items]),
                np.arange(1, len(items) + 1),
            ).sum()
            for items, taste in zip(lists, asked["taste"], strict=True)
        ]
    )
    found = judged(other)
    for name in ("ips", "snips", "dr"):
        each = found[f"clicks_per_list_{name}"]
        assert each.low < truth < each.high
        assert each.high - each.low < truth
    assert found["supported_share"].value == pytest.approx(1, abs=0.05)


def test_of_lists_that_the_log_could_not_have_shown_nothing_is_estimated() -> None:
    lists, _ = logged()
    every = np.arange(len(lists))
    made = instead(fitted(), lists.columns, every, PLACES)
    # At every place a product that no pipeline shows.
    foreign = replace(lists, keys=np.full(len(lists.keys), -1.0))
    found = value(fitted(), foreign, made, every)
    assert set(found) == {"clicks_per_list_logged", "effective_share", "supported_share"}
    assert found["supported_share"].value == 0


def test_a_log_without_propensities_says_nothing() -> None:
    lists, _ = logged()
    blind = replace(lists, propensities=np.full(len(lists.keys), np.nan))
    every = np.arange(20)
    made = instead(fitted(), lists.columns, every, PLACES)
    assert value(fitted(), blind, made, every) == {}
