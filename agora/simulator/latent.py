"""The truth as tables: latent factors of products and customers, and judged queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from agora.simulator import queries
from agora.simulator import vocabulary as words
from agora.simulator.streams import stream
from agora.simulator.truth import match

if TYPE_CHECKING:
    from agora.simulator.world import World

QUERIES = 300
GRADES = ((1.0, 3), (0.6, 2), (0.36, 1))
"""Least match and its grade: all that was asked for, one wish not met, two wishes not met. Another
thing of the same category is no answer."""


def latent_frames(world: World) -> dict[str, pl.DataFrame]:
    """Truth tables: `products`, `customers` and `judgements`."""
    goods, tastes = world.goods, world.tastes
    return {
        "products": pl.DataFrame(
            {
                "product_id": world.product_ids,
                "quality": goods.quality,
                "vector": goods.vector,
                "created_at": goods.created_at,
            }
        ).with_columns(pl.col("created_at").cast(pl.Datetime("us", "UTC"))),
        "customers": pl.DataFrame(
            {
                "customer_id": world.customer_ids,
                "taste": tastes.now,
                "turns_to": tastes.next,
                "radians_a_day": tastes.speed,
                "means": tastes.means,
                "thrift": tastes.thrift,
            }
        ),
        "judgements": judgements(world),
    }


def judgements(world: World, count: int = QUERIES) -> pl.DataFrame:
    """Queries as customers type them, and every product that answers each.

    Args:
        world: Goods as on offer when the simulated span ends.
        count: Queries that are drawn; those that nothing answers are kept out.

    Returns:
        `query_id`, `query`, `product_id`, `grade` (3 best to 1).
    """
    random = stream(world.params.seed, "judgements")
    noun = random.integers(0, len(world.concepts.noun), count)
    category = noun // words.NOUNS_EACH
    style = category * words.STYLES_EACH + random.integers(0, words.STYLES_EACH, count)
    brand = category * words.BRANDS_EACH + random.integers(0, words.BRANDS_EACH, count)
    asked = queries.ask(random, noun, style, brand)
    product = np.flatnonzero(world.goods.offered(world.params.end_at))
    every = np.broadcast_to(product, (count, len(product)))
    price = world.goods.price_at(every, np.full((1, 1), world.params.end_at))
    meets = match(world.goods, asked.wants, every, price)
    grade = np.select([meets >= least - 1e-9 for least, _ in GRADES], [each for _, each in GRADES])
    row, column = np.nonzero(grade)
    return pl.DataFrame(
        {
            "query_id": pl.Series(row + 1).cast(pl.String).str.zfill(4),
            "query": asked.text().gather(row),
            "product_id": world.product_ids.gather(product[column]),
            "grade": grade[row, column],
        }
    ).with_columns(query_id="qry_" + pl.col("query_id"))
