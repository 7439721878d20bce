"""A small shop whose customers take what has the words that they type, and what is popular."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.candidates import Retrieved
from agora.dataset import TrainingSet
from agora.pipeline import columns_of
from agora.ranking.lambdarank import RankParams
from agora.systems.search import SYSTEM
from agora.systems.search.pipeline import Params, SearchPipeline
from tests.systems import synthetic
from tests.systems.synthetic import AS_OF, TIME

if TYPE_CHECKING:
    from agora.pipeline import Columns

ITEMS, LISTS, PLACES, POPULAR = 240, 400, 10, 60
COLOURS = ("red", "blue", "green", "white", "black")
NOUNS = {"lamp": "home", "sofa": "home", "boots": "fashion", "novel": "books", "guitar": "music"}
OTHER_WORDS = {"boots": "Sturdy footwear for rainy days.", "novel": "A thrilling story to read."}
SOLD_OUT = 10
"""Every tenth product is."""
SMALL = Params(ranker=RankParams(rounds=40, rows_in_leaf=10), unseen=6, unseen_lists=100)
NOW = datetime(2026, 5, 1, tzinfo=UTC)


def catalogue(n: int = ITEMS, seed: int = 0) -> pl.DataFrame:
    """Products of five kinds in turn, in five colours; the first sixty are popular."""
    made = synthetic.catalogue(SYSTEM, n, seed)
    number = np.arange(n)
    nouns = [list(NOUNS)[i % len(NOUNS)] for i in number]
    flat = [c for each in SYSTEM.items.feature_sets for c in each.columns]
    return (
        made.with_columns(pl.lit(1.0).alias(name) for name in flat)
        .with_columns(
            product_click_count_30d=pl.Series(np.where(number < POPULAR, 80.0, 2.0)),
            product_id=pl.Series([f"p{i:04}" for i in number]),
            title=pl.Series(
                [f"{COLOURS[i // 5 % 5]} {noun} {i}" for i, noun in zip(number, nouns, strict=True)]
            ),
            description=pl.Series([OTHER_WORDS.get(noun, "For every day.") for noun in nouns]),
            category=pl.Series([NOUNS[noun] for noun in nouns]),
            merchant_id=pl.Series([f"m{i % 7}" for i in number]),
            price=pl.Series(5.0 + number % 100),
            stock=pl.Series(np.where(number % SOLD_OUT == SOLD_OUT - 1, 0, 5)),
        )
        .sort("product_id")
    )


def searches(n: int, seed: int = 0) -> pl.DataFrame:
    """Requests: a colour and a thing, or the thing alone."""
    rng = np.random.default_rng(seed)
    base = synthetic.rows(SYSTEM, n, seed)
    noun, colour = rng.choice(list(NOUNS), n), rng.choice(COLOURS, n)
    alone = rng.random(n) < 0.4
    return base.with_columns(
        request_id=pl.Series([f"l{seed}-{i}" for i in range(n)]),
        query=pl.Series(np.where(alone, noun, np.char.add(np.char.add(colour, " "), noun))),
        customer_id=pl.Series([f"c{each}" for each in rng.integers(0, 60, n)]),
        k=pl.lit(10.0),
        facets=pl.lit(0.0),
        filters=pl.lit(None, base.schema["filters"]),
        session=pl.lit(None, base.schema["session"]),
    )


def training_set(seed: int = 0) -> TrainingSet:
    """Lists of ten, half of what was asked for; that is clicked, the more the higher it stands."""
    rng = np.random.default_rng(seed + 1)
    asked, items = searches(LISTS, seed).sort("event_at"), catalogue()
    titles = items["title"].to_list()
    row = np.repeat(np.arange(LISTS), PLACES)
    item = np.concatenate([rng.permutation(ITEMS)[:PLACES] for _ in range(LISTS)])
    queries = asked["query"].to_list()
    fits = np.array(
        [set(queries[r].split()) <= set(titles[i].split()) for r, i in zip(row, item, strict=True)]
    )
    place = np.tile(np.arange(1, PLACES + 1), LISTS)
    wanted = np.where(fits, np.where(item < POPULAR, 0.95, 0.8), 0.03)
    gain = (rng.random(len(row)) < wanted / place**0.3) * 1
    shown = items.select("product_id", *(
        c for each in SYSTEM.items.feature_sets for c in (*each.columns, each.time_column)
    ))[item]  # fmt: skip
    spans = SYSTEM.split.spans(AS_OF)
    frame = pl.concat([asked[row], shown], how="horizontal").with_columns(
        position=pl.Series(place), propensity=pl.lit(None, pl.Float64), gain=pl.Series(gain),
        label_arrived_at=pl.lit(AS_OF).cast(TIME),
        split=pl.coalesce(
            pl.when(pl.col("event_at").is_between(s.start, s.end, closed="left")).then(pl.lit(name))
            for name, s in spans.items()
        ),
    ).drop_nulls("split")  # fmt: skip
    return TrainingSet(frame, "gain", synthetic.manifest(SYSTEM, frame, spans), items=items)


@cache
def fitted() -> SearchPipeline:
    """The pipeline, fitted once."""
    return SearchPipeline(SMALL).fit(training_set())


def asked(**fields: Any) -> Columns:
    """One request of somebody unknown; fields of the request by name."""
    row = searches(1, seed=99).with_columns(
        pl.lit(float("nan")).alias(name)
        for name in searches(1, seed=99).columns
        if name.startswith("customer_") and name != "customer_id" and "feature_at" not in name
    )
    given = {"event_at": NOW, "customer_id": None, **fields}
    return columns_of(
        row.with_columns(
            **{name: pl.Series(name, [v], dtype=row.schema[name]) for name, v in given.items()}
        )
    )


def answer(pipeline: SearchPipeline, query: str, **fields: Any) -> dict[str, Any]:
    """What a pipeline says to one request."""
    columns = asked(query=query, **fields)
    found = Retrieved(columns, pipeline.retrieve(columns))
    matrix = pipeline.decode(found)
    return {n: v[0] for n, v in pipeline.decide(pipeline.infer(matrix), matrix, found).items()}


def nouns(found: dict[str, Any]) -> list[str]:
    """Kinds of the items of an answer."""
    return [item["title"].split()[1] for item in found["items"]]
