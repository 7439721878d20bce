"""Visitors of few products, some signed in, whose clicks come late, twice and corrected."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl

from tests.streams.payments import ids, times

LATE = (0.0, 0.0, 0.0, 5.0, 600.0, 3_500.0)
# Beyond what is held, and beyond what any set looks back at.
VERY_LATE = (90_000.0, 300_000.0, 5_300_000.0, 7_000_000.0)


def random_interactions(
    seed: int, count: int, days: float = 3.0, customers: int = 6
) -> pl.DataFrame:
    """Interactions and corrections in the order in which they are sent, with `sent_at`."""
    random = np.random.default_rng(seed)
    made = np.sort(random.integers(0, int(days * 864e8), count))
    # Bursts, and clicks in the same microsecond.
    made[1::7] = made[0:-1:7][: len(made[1::7])]
    late = random.choice(LATE, count) * 1e6
    very = random.random(count) < 0.05
    late[very] = random.choice(VERY_LATE, int(very.sum())) * 1e6
    frame = pl.DataFrame(
        {
            "interaction_id": [f"i{seed}-{n}" for n in range(count)],
            "list_id": pl.Series(ids(random, "list", 20, count)).set(
                pl.Series(random.random(count) < 0.2), None
            ),
            "session_id": ids(random, "session", 20, count),
            "customer_id": pl.Series(ids(random, "customer", customers, count)).set(
                pl.Series(random.random(count) < 0.2), None
            ),
            "product_id": ids(random, "product", 30, count),
            "kind": random.choice(["click", "cart", "purchase"], count),
            # What is late was made so long ago: it is sent with the others.
            "event_at": times(made - late.astype(np.int64)),
            "sent_at": times(made),
        }
    )
    corrected = _corrections(random, frame.sample(fraction=0.15, seed=seed), customers)
    again = _corrections(random, corrected.sample(fraction=0.3, seed=seed), customers)
    return pl.concat([frame, corrected, again]).sort("sent_at", maintain_order=True)


def _corrections(random: np.random.Generator, frame: pl.DataFrame, customers: int) -> pl.DataFrame:
    count = frame.height
    kind = pl.Series(random.integers(0, 4, count))
    others = pl.Series(ids(random, "customer", customers, count))
    earlier = pl.Series(random.choice([1, 864, 90_000], count)) * timedelta(seconds=1)
    return frame.with_columns(
        pl.when(kind == 0).then(pl.lit("purchase")).otherwise("kind").alias("kind"),
        # A visitor signs in, or turns out to be somebody else.
        pl.when(kind == 1).then(others).otherwise("customer_id").alias("customer_id"),
        pl.when(kind == 2).then(None).otherwise("customer_id").alias("signed_out"),
        pl.when(kind == 3).then(pl.col("event_at") - earlier).otherwise("event_at")
        .alias("event_at"),
        pl.col("sent_at")
        + pl.Series(random.choice([0, 90, 7_000, 100_000], count)) * timedelta(seconds=1),
    ).with_columns(
        pl.when(kind == 2).then("signed_out").otherwise("customer_id").alias("customer_id")
    ).drop("signed_out")  # fmt: skip
