"""A market of few entities whose payments come late, twice and corrected, at any pace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

START = datetime(2026, 3, 2, 20, tzinfo=UTC)
LATE = (0.0, 0.0, 0.0, 5.0, 600.0, 3_500.0)
VERY_LATE = (90_000.0, 300_000.0)


def random_payments(seed: int, count: int, days: float = 3.0, entities: int = 6) -> pl.DataFrame:
    """Payments and corrections in the order in which they are sent, with `sent_at`."""
    random = np.random.default_rng(seed)
    made = np.sort(random.integers(0, int(days * 864e8), count))
    # Bursts, and payments in the same microsecond.
    made[1::7] = made[0:-1:7][: len(made[1::7])]
    late = random.choice(LATE, count) * 1e6
    late[random.random(count) < 0.02] = random.choice(VERY_LATE) * 1e6
    frame = pl.DataFrame(
        {
            "payment_id": [f"p{seed}-{n}" for n in range(count)],
            "customer_id": ids(random, "customer", entities, count),
            "card_id": ids(random, "card", entities, count),
            "merchant_id": ids(random, "merchant", entities // 2, count),
            "device_id": pl.Series(ids(random, "device", entities, count)).set(
                pl.Series(random.random(count) < 0.2), None
            ),
            "amount": np.round(random.gamma(2, 30, count), 2),
            "currency": "EUR",
            "channel": random.choice(["web", "app", "in_store"], count),
            "latitude": random.uniform(-60, 60, count),
            "longitude": random.uniform(-60, 60, count),
            "event_at": times(made),
            "sent_at": times(made + late.astype(np.int64)),
        }
    )
    corrected = _corrections(random, frame.sample(fraction=0.15, seed=seed), entities)
    again = _corrections(random, corrected.sample(fraction=0.3, seed=seed), entities)
    return pl.concat([frame, corrected, again]).sort("sent_at", maintain_order=True)


def with_repeats(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Some events are sent again: at once, and an hour later."""
    again = frame.sample(fraction=0.05, seed=seed)
    later = again.with_columns(pl.col("sent_at") + timedelta(hours=1))
    return pl.concat([frame, again, later]).sort("sent_at", maintain_order=True)


def _corrections(random: np.random.Generator, frame: pl.DataFrame, entities: int) -> pl.DataFrame:
    count = frame.height
    kind = random.integers(0, 5, count)

    def other(column: str, of: int, number: int) -> pl.Expr:
        new = pl.Series(ids(random, column.removesuffix("_id"), number, count))
        return pl.when(pl.Series(kind == of)).then(new).otherwise(pl.col(column)).alias(column)

    earlier = pl.col("event_at") - pl.Series(random.choice([1, 864, 90_000], count)) * timedelta(
        seconds=1
    )
    return frame.with_columns(
        pl.when(pl.Series(kind == 0)).then(pl.col("amount") + 1).otherwise("amount"),
        other("customer_id", 1, entities),
        other("card_id", 2, entities),
        other("merchant_id", 2, entities // 2),
        pl.when(pl.Series(kind == 3)).then(None).otherwise("device_id").alias("device_id"),
        pl.when(pl.Series(kind == 4)).then(earlier).otherwise("event_at").alias("event_at"),
        pl.col("sent_at")
        + pl.Series(random.choice([0, 90, 7_000, 100_000], count)) * timedelta(seconds=1),
    )


def ids(random: np.random.Generator, name: str, number: int, count: int) -> list[str]:
    """Names of entities, one a row."""
    # Some are busy and some are hardly ever seen.
    chosen = (number * random.random(count) ** 2).astype(int)
    return [f"{name}{n}" for n in chosen]


def times(microseconds: np.ndarray) -> pl.Series:  # type: ignore[type-arg]
    """Microseconds since the start as times."""
    first = int(START.timestamp() * 1e6)
    return pl.Series(first + microseconds).cast(pl.Datetime("us", "UTC"))
