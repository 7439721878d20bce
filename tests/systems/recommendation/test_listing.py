from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from agora.systems.recommendation.listing import Lister, notice_of
from agora.systems.recommendation.ranked import Ranked
from tests.systems.recommendation.shop import fitted

AT = 1_777_000_000.0
DRAWS = 3_000


@pytest.fixture(scope="module")
def lister() -> Lister:
    return Lister(fitted().index_, fitted().params)


@pytest.fixture(scope="module")
def ranked() -> Ranked:
    """The first eighty products that are for sale, in this order."""
    items = np.flatnonzero(fitted().index_.for_sale)[:80]
    scores = np.linspace(3, 0, len(items))
    half = np.where(np.arange(len(items)) % 2, scores, np.nan)
    return Ranked(items, scores, {"towers": half, "popular": np.where(np.isnan(half), 1.0, np.nan)})


def shown(lister: Lister, ranked: Ranked, request_id: str, k: int = 10) -> list[dict]:
    return lister.list_of(ranked, k, request_id, AT)[0]


def test_the_logged_chance_of_a_place_is_how_often_it_comes_to_that(
    lister: Lister, ranked: Ranked
) -> None:
    seen: Counter = Counter()
    logged = {}
    for draw in range(DRAWS):
        for item in shown(lister, ranked, f"request {draw}", k=4):
            pair = item["position"], item["product_id"]
            seen[pair] += 1
            assert logged.setdefault(pair, item["propensity"]) == item["propensity"]
    for pair, times in seen.items():
        chance = logged[pair]
        assert abs(times / DRAWS - chance) < 5 * (chance * (1 - chance) / DRAWS) ** 0.5 + 1e-9
    assert any(chance < 0.1 for chance in logged.values())


def test_the_same_request_gets_the_same_list(lister: Lister, ranked: Ranked) -> None:
    assert shown(lister, ranked, "again") == shown(lister, ranked, "again")


def test_no_seller_has_more_places_than_the_rules_give_whatever_is_tried_out(
    lister: Lister, ranked: Ranked
) -> None:
    sellers = dict(zip(lister.index.ids.tolist(), lister.index.sellers.tolist(), strict=True))
    for draw in range(300):
        items = shown(lister, ranked, f"seller {draw}", k=20)
        of = Counter(sellers[item["product_id"]] for item in items)
        assert max(of.values()) <= lister.params.rules.per_seller
        assert len({item["product_id"] for item in items}) == len(items) == 20


def test_a_new_product_has_a_place_in_ten(lister: Lister, ranked: Ranked) -> None:
    index = lister.index
    listed = {i: at for i, at in zip(index.ids.tolist(), index.listed.tolist(), strict=True)}
    # The best are old, so that only the quota brings something new.
    by_age = np.argsort(index.listed[ranked.items], kind="stable")
    old_first = Ranked(ranked.items[by_age], ranked.scores, ranked.found)
    newest = float(index.listed[ranked.items].max())
    items, _ = lister.list_of(old_first, 10, "fresh", newest + 1)
    ages = [newest + 1 - listed[item["product_id"]] for item in items]
    assert min(ages) < lister.params.new_days * 86_400


def test_each_product_says_which_strategy_put_it_highest(lister: Lister, ranked: Ranked) -> None:
    items = shown(lister, ranked, "sources")
    place = {lister.index.ids[item]: at for at, item in enumerate(ranked.items.tolist())}
    for item in items:
        assert item["source"] == ("towers" if place[item["product_id"]] % 2 else "popular")


def test_short_lists_say_why() -> None:
    some = [{"product_id": "p"}]
    assert notice_of(some, None, 1) is None
    assert notice_of(some, None, 2)
    assert "filters" in str(notice_of([], {"category": "x", "price_min": None}, 2))
    assert "filters" not in str(notice_of([], {"category": None}, 2))
