"""A small shop whose customers take what is of their kind, and a pipeline that learned it."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.dataset import TrainingSet
from agora.items import item_keys
from agora.pipeline import columns_of
from agora.ranking.lambdarank import RankParams
from agora.ranking.towers import TowerParams
from agora.systems.recommendation import SYSTEM
from agora.systems.recommendation.pipeline import Params, RecommendationPipeline
from tests.systems import synthetic
from tests.systems.synthetic import AS_OF, TIME

if TYPE_CHECKING:
    from agora.pipeline import Columns

ITEMS, NEW_FROM, CATEGORIES, CUSTOMERS, LISTS, PLACES = 240, 228, 6, 60, 500, 12
NOUNS = ("lamp", "boot", "kettle", "novel", "guitar", "tent")
SMALL = Params(
    towers=TowerParams(width=16, hidden=32, batch=64, drawn=32, epochs=12, id_dropout=0.5),
    ranker=RankParams(rounds=30, rows_in_leaf=10),
    rank=16,
    text=64,
)


def catalogue(n: int = ITEMS, seed: int = 0) -> pl.DataFrame:
    """Products of six kinds in turn: title and category say which; every tenth is sold out."""
    made = synthetic.catalogue(SYSTEM, n, seed)
    number = np.arange(n)
    kind = number % CATEGORIES
    frame = made.with_columns(
        product_id=pl.Series([f"p{i:04}" for i in number]),
        title=pl.Series([f"{NOUNS[k]} number {i}" for k, i in zip(kind, number, strict=True)]),
        category=pl.Series([NOUNS[k] for k in kind]),
        merchant_id=pl.Series([f"m{i % 40}" for i in number]),
        stock=pl.Series(np.where(number % 10 == 9, 0, 5)),
        # The last twelve are new.
        listed_at=pl.Series(
            [AS_OF - timedelta(days=10 if i >= NEW_FROM else 100) for i in number]
        ).cast(TIME),
    )
    # Nothing of the shop's own figures says more of one product than of another.
    flat = [c for each in SYSTEM.items.feature_sets for c in each.columns]
    return frame.with_columns(pl.lit(1.0).alias(name) for name in flat).sort("product_id")


def visits(n: int, seed: int = 0) -> pl.DataFrame:
    """Requests of customers: `taste` is the kind of which their history is."""
    rng = np.random.default_rng(seed)
    base = synthetic.rows(SYSTEM, n, seed)
    who = rng.integers(0, CUSTOMERS, n)
    taste = who % CATEGORIES
    keys = item_keys(catalogue()["product_id"])
    at = base["event_at"].dt.epoch("us").to_numpy() / 1e6
    columns: dict[str, Any] = {}
    for step in range(1, 25):
        item = rng.integers(0, ITEMS // CATEGORIES, n) * CATEGORIES + taste
        there = step <= 6
        columns[f"customer_product_{step}"] = keys[item] if there else np.full(n, np.nan)
        columns[f"customer_kind_{step}"] = (
            rng.integers(0, 3, n) * 1.0 if there else np.full(n, np.nan)
        )
        columns[f"customer_event_at_{step}"] = (
            at - 3_600.0 * step * rng.uniform(0.9, 1.0, n) if there else np.full(n, np.nan)
        )
    return base.with_columns(
        *(pl.Series(name, values) for name, values in columns.items()),
        request_id=pl.Series([f"l{seed}-{i}" for i in range(n)]),
        customer_id=pl.Series([f"c{each}" for each in who]),
        k=pl.lit(10.0),
        filters=pl.lit(None, base.schema["filters"]),
        session=pl.lit(None, base.schema["session"]),
        taste=pl.Series(taste),
    )


def training_set(seed: int = 0) -> TrainingSet:
    """Lists of twelve chance products; what is of the visitor's kind is clicked at most looks."""
    rng = np.random.default_rng(seed + 1)
    asked = visits(LISTS, seed).sort("event_at")
    items = catalogue()
    row = np.repeat(np.arange(LISTS), PLACES)
    item = np.concatenate([rng.permutation(ITEMS)[:PLACES] for _ in range(LISTS)])
    place = np.tile(np.arange(1, PLACES + 1), LISTS)
    liked = item % CATEGORIES == asked["taste"].to_numpy()[row]
    gain = (rng.random(len(row)) < np.where(liked, 0.7, 0.03) / place**0.5) * 1
    shown = items.select("product_id", *(
        c for each in SYSTEM.items.feature_sets for c in (*each.columns, each.time_column)
    ))[item]  # fmt: skip
    frame = pl.concat([asked[row].drop("taste"), shown], how="horizontal").with_columns(
        position=pl.Series(place), propensity=pl.lit(1 / ITEMS), gain=pl.Series(gain),
        label_arrived_at=pl.lit(AS_OF).cast(TIME),
    )  # fmt: skip
    spans = SYSTEM.split.spans(AS_OF)
    frame = frame.with_columns(
        split=pl.coalesce(
            pl.when(pl.col("event_at").is_between(s.start, s.end, closed="left")).then(pl.lit(name))
            for name, s in spans.items()
        )
    ).drop_nulls("split")
    return TrainingSet(frame, "gain", synthetic.manifest(SYSTEM, frame, spans), items=items)


@cache
def fitted() -> RecommendationPipeline:
    """The pipeline, fitted once."""
    return RecommendationPipeline(SMALL).fit(training_set())


def quiet(pipeline: RecommendationPipeline) -> RecommendationPipeline:
    """The same without exploration: what it thinks best."""
    made = copy(pipeline)
    never = replace(pipeline.params.exploration, epsilon=0.0)
    made.params = replace(pipeline.params, exploration=never)
    return made


def asked(**fields: Any) -> Columns:
    """One request of somebody unknown; fields of the request and features by name."""
    row = visits(1, seed=99).with_columns(
        pl.lit(float("nan")).alias(name)
        for name in visits(1, seed=99).columns
        if name.startswith(("customer_product_", "customer_kind_", "customer_event_at_"))
    )
    schema = row.schema
    given = {name: pl.Series(name, [value], dtype=schema[name]) for name, value in fields.items()}
    return columns_of(row.with_columns(**given))
