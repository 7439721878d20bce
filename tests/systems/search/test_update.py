"""A catalogue that changed a little: the changed index answers as one that is built anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from agora.items import item_key
from agora.systems.search import update
from agora.systems.search.gate import index_gate
from agora.systems.search.index import Index
from tests.systems.search.shop import SOLD_OUT, answer, catalogue, fitted

if TYPE_CHECKING:
    from pathlib import Path

    from agora.systems.search.pipeline import SearchPipeline

pytestmark = pytest.mark.xdist_group("search_shop")
SIZE = 1_200
QUERIES = (
    "blue guitar", "red lamp", "novel", "sofa", "green boots", "purple kettle", "kettle", "blue",
    "footwear", "thrilling story", "lamp 17", "gutar", "white guitar under 40",
)  # fmt: skip
# Figures of the words count what was taken out until all is built again.
CLOSE = 0.02


def changed(items: pl.DataFrame) -> pl.DataFrame:
    """Some removed, retitled, repriced, sold out, and some new."""
    number = pl.int_range(pl.len())
    left = items.filter(number % 301 != 7).with_columns(
        title=pl.when(number % 299 == 3).then(pl.lit("purple kettle")).otherwise("title"),
        price=pl.when(number % 5 == 0).then(pl.col("price") * 0.5).otherwise("price"),
        stock=pl.when(number % 17 == 0).then(0).otherwise("stock"),
        product_click_count_30d=pl.col("product_click_count_30d") + 1.0,
    )
    new = items.head(4).with_columns(
        product_id=pl.format("q{}", number),
        title=pl.format("blue guitar {}", number),
        category=pl.lit("brand-new"),
    )
    return pl.concat([left, new]).sort("product_id")


@pytest.fixture(scope="module")
def base() -> SearchPipeline:
    return fitted().with_items(catalogue(SIZE))


@pytest.fixture(scope="module")
def pair(base: SearchPipeline) -> tuple[SearchPipeline, SearchPipeline]:
    """The changed index, and one that is built anew."""
    items = changed(catalogue(SIZE))
    fresh = base.with_items(items)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(update, "SMALL", 100)
        quick = base.with_items(items)
    assert quick.index_.built == SIZE, "it was changed, not built"
    assert fresh.index_.built == len(items)
    return quick, fresh


def scored(found: dict[str, Any]) -> dict[str, float]:
    return {item["product_id"]: item["score"] for item in found["items"]}


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize(
    "filters",
    [
        None,
        {"category": "brand-new"},
        {"price_max": 20.0},
        {"in_stock": False, "merchant_id": "m3"},
    ],
)
def test_it_answers_as_one_that_is_built_anew(
    pair: tuple[SearchPipeline, SearchPipeline], query: str, filters: dict[str, Any] | None
) -> None:
    full = {"category": None, "merchant_id": None, "price_min": None, "price_max": None,
            "in_stock": None, **filters} if filters else None  # fmt: skip
    quick, fresh = (answer(each, query, k=50, filters=full, facets=1.0) for each in pair)
    assert quick["query_used"] == fresh["query_used"]
    assert abs(quick["total"] - fresh["total"]) <= CLOSE * fresh["total"]
    ours, theirs = scored(quick), scored(fresh)
    assert len(ours) == len(theirs)
    if not theirs:
        return
    spread = max(np.ptp(list(theirs.values())), 1.0)
    last = min(theirs.values())
    for product, score in ours.items():
        # What only one of them shows ties with the last.
        assert abs(theirs.get(product, last) - score) <= 5 * CLOSE * spread, product


def test_a_product_that_is_gone_is_found_in_no_way(
    pair: tuple[SearchPipeline, SearchPipeline], base: SearchPipeline
) -> None:
    quick, fresh = pair
    gone = set(base.index_.ids.tolist()) - set(fresh.index_.ids.tolist())
    assert gone
    keys = np.array([item_key(product) for product in gone], float)
    assert (quick.index_.rows_of(keys) == -1).all()
    titles = base.index_.titles.gather(base.index_.rows_of(keys)).to_list()
    for title in titles:
        for filters in (None, {"in_stock": False}):
            found = answer(quick, title, k=50, filters=filters)
            assert gone.isdisjoint(scored(found))


def test_figures_prices_and_stock_are_those_of_now(
    pair: tuple[SearchPipeline, SearchPipeline],
) -> None:
    quick, fresh = (each.index_ for each in pair)
    keys = np.array([item_key(product) for product in fresh.ids], float)
    ours, theirs = quick.rows_of(keys), fresh.rows_of(keys)
    assert (ours >= 0).all()
    assert quick.usual == pytest.approx(fresh.usual)
    for name in ("price", "for_sale", "popularity", "told"):
        assert np.array_equal(
            getattr(quick, name)[ours], getattr(fresh, name)[theirs], equal_nan=True
        ), name
    assert quick.titles.gather(ours).to_list() == fresh.titles.gather(theirs).to_list()


def test_it_is_saved_and_changed_again(
    pair: tuple[SearchPipeline, SearchPipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, _ = pair
    monkeypatch.setattr(update, "SMALL", 100)
    monkeypatch.setattr(update, "MOST_CHANGED", 0.1)
    quick.save_index(tmp_path)
    loaded = quick.load_index(tmp_path)
    assert scored(answer(loaded, "purple kettle")) == scored(answer(quick, "purple kettle"))
    back = loaded.with_items(catalogue(SIZE).head(SIZE - 2))
    assert back.index_.built == SIZE
    assert answer(back, "kettle")["items"] == [] or "kettle" not in str(answer(back, "kettle"))
    assert index_gate(quick, back) == ()


def test_where_much_changed_all_is_built_again(
    base: SearchPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update, "SMALL", 100)
    fewer = catalogue(SIZE).head(int(SIZE * 0.9))
    assert base.with_items(fewer).index_.built == len(fewer)
    nothing = base.with_items(catalogue(SIZE)).index_
    assert isinstance(nothing, Index)
    assert nothing.built == len(nothing) == SIZE
    assert np.count_nonzero(~nothing.for_sale) == SIZE // SOLD_OUT
