"""An index that is changed answers as one that is made anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from agora.retrieval import vectors
from agora.systems.recommendation import update
from agora.systems.recommendation.tastes import SPACES
from tests.systems.recommendation.shop import asked, catalogue, fitted, quiet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agora.systems.recommendation.pipeline import RecommendationPipeline

MANY = 600
GONE, DEARER, SOLD_OUT = "p0006", "p0012", "p0018"


@pytest.fixture(scope="module", autouse=True)
def lists() -> Iterator[None]:
    """A few hundred products have lists, as a million have, and every one of them is visited."""
    import faiss

    # Threads that wait for each other cost more than so few products.
    faiss.omp_set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "EXACT", 100)
        patch.setattr("agora.retrieval.lists.RECALL", 1.0)
        yield


@pytest.fixture(scope="module")
def before() -> RecommendationPipeline:
    return quiet(fitted().with_items(shop()))


def shop() -> pl.DataFrame:
    """Products of which no two are equally popular."""
    clicks = pl.int_range(pl.len()).cast(pl.Float64)
    return catalogue(MANY).with_columns(product_click_count_30d=clicks)


def later(items: pl.DataFrame) -> pl.DataFrame:
    """The catalogue some hours on: one gone, one dearer, one sold out, one new."""
    at = pl.col("product_id")
    new = items.filter(at == DEARER).with_columns(product_id=pl.lit("p9999"))
    changed = items.filter(at != GONE).with_columns(
        price=pl.when(at == DEARER).then(pl.col("price") * 3).otherwise(pl.col("price")),
        stock=pl.when(at == SOLD_OUT).then(0).otherwise(pl.col("stock")),
    )
    return pl.concat([changed, new]).sort("product_id")


def found(pipeline: RecommendationPipeline, **fields: object) -> dict[str, dict[str, float]]:
    """Score of each candidate by the strategy that found it."""
    reached = pipeline.retrieve(asked(**fields))
    ids = pipeline.item_ids[reached.item].tolist()
    return {
        name: {i: s for i, s in zip(ids, scores.tolist(), strict=True) if s == s}
        for name, scores in reached.scores.items()
    }


def assert_same(one: dict[str, dict[str, float]], other: dict[str, dict[str, float]]) -> None:
    assert one.keys() == other.keys()
    for name, scores in other.items():
        assert one[name] == pytest.approx(scores, abs=1e-5), name


def visit(item: str) -> list[dict[str, object]]:
    return [{"product_id": item, "kind": "click", "at": None}]


def test_what_changed_is_found_as_by_an_index_made_anew(before: RecommendationPipeline) -> None:
    now = later(shop())
    changed, anew = before.with_items(now), quiet(fitted().with_items(now))
    assert any(changed.index_.vectors[space].late for space in SPACES)
    assert not any(anew.index_.vectors[space].late for space in SPACES)
    for filters in (None, {"category": "lamp"}, {"price_max": 40.0}, {"in_stock": False}):
        for item in (DEARER, "p0031", "p9999"):
            one, other = (
                found(each, filters=filters, session=visit(item)) for each in (changed, anew)
            )
            assert_same(one, other)
            assert GONE not in {i for each in one.values() for i in each}


def test_what_is_sold_out_or_gone_is_not_shown_and_what_is_new_is(
    before: RecommendationPipeline,
) -> None:
    changed = before.with_items(later(shop()))
    index = changed.index_
    assert GONE not in index.ids.tolist()
    assert (index.rows_of(np.array([np.nan])) == -1).all()
    row = index.ids.tolist().index("p9999")
    assert row >= MANY
    candidates = {i for each in found(changed, session=visit(DEARER)).values() for i in each}
    assert "p9999" in candidates
    assert not {SOLD_OUT, GONE} & candidates


def test_the_index_before_stays_what_it_was(before: RecommendationPipeline) -> None:
    known = found(before, session=visit(GONE))
    before.with_items(later(shop()))
    assert found(before, session=visit(GONE)) == known


def test_it_is_changed_again_and_again_and_comes_back(before: RecommendationPipeline) -> None:
    items = shop()
    again = before.with_items(later(items)).with_items(items)
    assert_same(found(again, session=visit(GONE)), found(before, session=visit(GONE)))
    assert sum(each is not None for each in again.item_ids) == MANY


def test_when_much_changes_the_index_is_made_anew(
    before: RecommendationPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    dearer = shop().with_columns(pl.col("price") * 2)
    assert not any(each.late for each in before.with_items(dearer).index_.vectors.values())
    monkeypatch.setattr(update, "MOST_CHANGED", 0.0)
    made = before.with_items(later(shop()))
    assert len(made.index_) == MANY


def test_a_changed_index_is_read_as_it_was_written(
    before: RecommendationPipeline, tmp_path: Path
) -> None:
    changed = before.with_items(later(shop()))
    changed.save_index(tmp_path)
    read = before.load_index(tmp_path)
    assert found(read, session=visit(DEARER)) == found(changed, session=visit(DEARER))
