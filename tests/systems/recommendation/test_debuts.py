from __future__ import annotations

from collections import Counter
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from agora.pipeline import predict
from agora.systems.recommendation.debuts import is_new, lacks_looks
from tests.systems.recommendation.shop import NEW_FROM, catalogue, fitted, quiet, visits

if TYPE_CHECKING:
    from agora.systems.recommendation.pipeline import RecommendationPipeline

NOW = datetime(2026, 5, 1, tzinfo=UTC)
REQUESTS = 120


def shown_looks(pipeline: RecommendationPipeline, seen: int) -> RecommendationPipeline:
    """The same, its first six new products shown so often already."""
    items = catalogue().with_columns(
        product_impression_count_30d=pl.when(
            pl.col("product_id").is_between(
                pl.lit(f"p{NEW_FROM:04}"), pl.lit(f"p{NEW_FROM + 5:04}")
            )
        )
        .then(float(seen))
        .otherwise(0.0)
    )
    return pipeline.with_items(items)


def places(pipeline: RecommendationPipeline, **changes: Any) -> Counter[str]:
    frame = visits(REQUESTS, seed=31).with_columns(
        event_at=pl.lit(NOW).cast(pl.Datetime("us", "UTC"))
    )
    made = copy(pipeline)
    made.params = replace(pipeline.params, **changes)
    made._use(made.index_)
    lists = predict(made, frame)["items"].to_list()
    return Counter(item["product_id"] for items in lists for item in items)


@pytest.fixture(scope="module")
def for_sale() -> tuple[list[str], list[str]]:
    """New products that had their first looks in `shown_looks`, and those that did not."""
    stock = dict(catalogue().select("product_id", "stock").iter_rows())
    new = [f"p{each:04}" for each in range(NEW_FROM, 240) if stock[f"p{each:04}"]]
    had = [name for name in new if name <= f"p{NEW_FROM + 5:04}"]
    return had, [name for name in new if name not in had]


def test_places_of_new_products_go_to_those_that_lack_their_first_looks(
    for_sale: tuple[list[str], list[str]],
) -> None:
    _, others = for_sale
    seen = places(quiet(shown_looks(fitted(), 20)))
    assert all(seen[name] for name in others)
    per_place = [np.mean([seen[name] for name in group]) for group in for_sale]
    assert per_place[1] > 2 * per_place[0]
    assert sum(seen[name] for name in others) >= 0.9 * REQUESTS


def test_all_have_equal_turns_until_their_last_look(
    for_sale: tuple[list[str], list[str]],
) -> None:
    """Were turns fewer the more of them were had, the last ones would never come."""
    seen = places(quiet(shown_looks(fitted(), 19)))
    one, other = (np.mean([seen[name] for name in group]) for group in for_sale)
    assert 0.6 < one / other < 1.6


def test_where_nobody_lacks_looks_the_best_new_product_has_the_place() -> None:
    seen = places(quiet(shown_looks(fitted(), 20)), first_looks=0)
    new = [each for name, each in seen.items() if name >= f"p{NEW_FROM:04}"]
    assert sum(new) >= 0.9 * REQUESTS


def test_what_is_new_and_what_it_lacks_is_read_from_the_index() -> None:
    index = shown_looks(fitted(), 15).index_
    rows = np.arange(len(index))
    assert is_new(index, rows, NOW.timestamp(), 14).sum() == 240 - NEW_FROM
    assert not is_new(index, rows, NOW.timestamp() - 30 * 86_400, 14).any()
    assert not is_new(index, rows, NOW.timestamp() + 30 * 86_400, 14).any()
    short = lacks_looks(index, rows, 15)
    assert not short[NEW_FROM : NEW_FROM + 6].any()
    assert short.sum() == 240 - 6
    assert lacks_looks(index, rows, 16).all()
