"""A catalogue of a million products, who asks for them, and models that know them all.

The models are fitted on a small shop. The catalogue's titles, categories, sellers and prices are of
unequal size, as catalogues are; histories are of products drawn evenly, which is the hardest: no
two steps of a visitor have anything in common.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.items import item_keys
from agora.shopping.history import KEYS
from agora.systems.recommendation import SYSTEM
from agora.systems.recommendation.asking import SAMPLE, sample_of
from agora.systems.recommendation.index import Index, frame_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora.pipeline import Columns
    from agora.systems.recommendation.pipeline import RecommendationPipeline

NOW = datetime(2026, 5, 4, tzinfo=UTC)
# Customers of whom the lists are made, and those who then ask, are others.
KNOWN, ASKING = 11, 3


def replaced(params: Any) -> Any:
    """The small shop's parameters with vectors as wide as in production."""
    from dataclasses import replace

    from agora.systems.recommendation.pipeline import Params

    usual = Params()
    towers = replace(usual.towers, epochs=2)
    return replace(params, towers=towers, text=usual.text, rank=usual.rank, ranker=usual.ranker)


def known(fitted: RecommendationPipeline, listed: pl.DataFrame) -> None:
    """Let the models know this catalogue: collaborative vectors of all, and how it is asked for.

    The vectors are clusters, as a factorisation makes them.
    """
    from dataclasses import replace

    from agora.ranking.collaborative import FactoredEase

    rng, rank = np.random.default_rng(8), fitted.params.rank
    keys = np.sort(item_keys(listed["product_id"]))
    centres = rng.normal(size=(5_000, rank)) / np.sqrt(1 + np.arange(rank))
    vectors = (
        centres[rng.integers(0, len(centres), len(keys))]
        + 0.3 * rng.normal(size=(len(keys), rank)) / np.sqrt(1 + np.arange(rank))
    ).astype(np.float32)
    ease = FactoredEase(rank, inputs_=vectors, items_=vectors)
    fitted.tastes_ = replace(fitted.tastes_, ease=ease, keys=keys)
    asked = list(requests(len(listed), SAMPLE, seed=KNOWN))
    columns = {name: np.concatenate([each[name] for each in asked]) for name in asked[0]}
    steps = np.concatenate([columns[name] for name in KEYS.names])
    met = frame_of(listed.filter(pl.Series(np.isin(item_keys(listed["product_id"]), steps))))
    bare = Index.of(met, fitted.tastes_.matrices(met), listed=False)
    fitted.asked_ = sample_of(fitted.tastes_, columns, bare)


def catalogue(items: int, seed: int = 0) -> pl.DataFrame:
    """Products whose words, categories and sellers are as unequal as they are in shops."""
    rng = np.random.default_rng(seed)
    words = np.array([f"{a}{b}" for a in SYLLABLES for b in SYLLABLES], dtype=object)
    often = 1 / (1 + np.arange(len(words))) ** 0.9
    category = np.minimum(rng.zipf(1.3, items), 200)
    # What a category's titles say is a stretch of the vocabulary, and some words of all.
    own = words[(category[:, None] * 37 + rng.integers(0, 12, (items, 2))) % len(words)]
    others = words[rng.choice(len(words), (items, 3), p=often / often.sum())]
    columns = pl.DataFrame(
        {
            "product_id": [f"i{number:07}" for number in range(items)],
            "title": [" ".join(each) for each in np.concatenate([own, others], axis=1).tolist()],
            "description": [""] * items,
            "category": pl.Series(category).cast(pl.String),
            "merchant_id": pl.Series(np.minimum(rng.zipf(1.2, items), 50_000)).cast(pl.String),
            "price": rng.lognormal(3, 1, items),
            "currency": ["EUR"] * items,
            "stock": rng.integers(0, 30, items),
            "listed_at": pl.Series(
                [NOW - timedelta(days=500)] * items, dtype=pl.Datetime("us", "UTC")
            )
            + pl.Series(rng.integers(0, 500, items)).cast(pl.Duration("us")) * 86_400_000_000,
        }
    )
    features = {
        name: rng.exponential(1.0, items) * (rng.random(items) < 0.3)
        for each in SYSTEM.items.feature_sets  # type: ignore[union-attr]
        for name in each.columns
    }
    return pl.concat([columns, pl.DataFrame(features)], how="horizontal")


def within_a_day(listed: pl.DataFrame, changed: int) -> pl.DataFrame:
    """The catalogue some hours on: so many dearer, new and gone, and ten times so many sold out."""
    rng = np.random.default_rng(6)
    items = len(listed)
    price, stock = listed["price"].to_numpy().copy(), listed["stock"].to_numpy().copy()
    price[rng.choice(items, changed, replace=False)] *= 1.1
    stock[rng.choice(items, min(10 * changed, items), replace=False)] = 0
    gone = np.zeros(items, bool)
    gone[rng.choice(items, changed, replace=False)] = True
    new = catalogue(changed, seed=7)
    new = new.with_columns(product_id=pl.format("n{}", pl.int_range(pl.len())))
    now = listed.with_columns(price=pl.Series(price), stock=pl.Series(stock))
    return pl.concat([now.filter(pl.Series(~gone)), new])


SYLLABLES = tuple(a + b for a in "bdfgklmnprstvz" for b in "aeiou")


def history(items: int, rows: int, seed: int) -> np.ndarray[Any, Any]:
    """Keys, kinds and times of each customer's latest interactions, as the store holds them."""
    rng = np.random.default_rng(seed)
    taken = rng.integers(0, items, (rows, 24))
    ids = pl.Series([f"i{number:07}" for number in taken.ravel()])
    at = NOW.timestamp() - np.cumsum(rng.exponential(20_000, (rows, 24)), axis=1)
    kinds = rng.choice(3, (rows, 24), p=(0.8, 0.15, 0.05))
    return np.stack([item_keys(ids).reshape(rows, 24), kinds, at], axis=2).reshape(rows, 72)


def requests(items: int, count: int, seed: int = ASKING) -> Iterator[Columns]:
    """Requests one by one, as columns."""
    from tests.systems.recommendation.shop import asked

    columns = dict(asked(event_at=NOW, k=10.0))
    names = SYSTEM.feature_sets[0].columns
    for row in history(items, count, seed):
        yield columns | {name: row[at : at + 1] for at, name in enumerate(names)}
