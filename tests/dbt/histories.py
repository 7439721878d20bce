"""Random small histories: late arrivals, every kind of correction, labels that change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from agora.tables import TABLES
from tests.dbt.shopping_histories import (
    impression_versions,
    interaction_versions,
    product_versions,
)

FIRST_DAY = date(2026, 1, 5)
DAYS = 75
END = FIRST_DAY + timedelta(days=DAYS)
START_AT = datetime(2026, 1, 5, tzinfo=UTC)
POLARS = {"string": pl.String, "integer": pl.Int64, "number": pl.Float64, "boolean": pl.Boolean}


def random_history(seed: int, payments: int = 300) -> dict[str, pl.DataFrame]:
    """Raw tables of a market with a handful of entities, so that windows overlap in every way."""
    random = np.random.default_rng(seed)
    versions = _payments(random, payments)
    known = versions.group_by("payment_id").agg(pl.col("event_at").first())
    labelled = known.sort("payment_id").sample(payments // 4, seed=seed)
    shopping = np.random.default_rng([seed, 1])
    return {
        "payments": versions,
        "chargebacks": _chargebacks(random, labelled),
        "verdicts": _verdicts(random, labelled),
        "customers": _records(random, "customer", 5, {"country": "DE", "email": None}),
        "merchants": _records(random, "merchant", 4, {"country": "DE", "category": "books"}),
        "devices": _records(random, "device", 4, {"kind": "mobile", "operating_system": "x"}),
        "products": _landed("products", product_versions(shopping, 6)),
        "impressions": _landed("impressions", impression_versions(shopping, 500, DAYS)),
        "interactions": _landed("interactions", interaction_versions(shopping, 400, DAYS)),
    }


def raw(table: str, rows: list[dict[str, object]]) -> pl.DataFrame:
    """Rows as `raw/<table>` holds them: null where not given, `arrived_at` from `event_at`."""
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        column.name: POLARS.get(column.kind, pl.Datetime("us", "UTC"))
        for column in TABLES[table].all_columns
    }
    full = [{"arrived_at": row["event_at"], **row} for row in rows]
    frame = pl.DataFrame(full, schema_overrides=schema) if rows else pl.DataFrame(schema=schema)
    missing = [
        pl.lit(None, kind).alias(name) for name, kind in schema.items() if name not in frame.columns
    ]
    return frame.with_columns(*missing).select(
        *schema,
        pl.col("arrived_at").dt.date().alias("arrival_date"),
        pl.lit("test").alias("source_file"),
    )


def _landed(table: str, rows: list[dict[str, object]]) -> pl.DataFrame:
    """What has arrived by the end, each version of a key at a time of its own."""
    key = TABLES[table].key
    return (
        raw(table, rows)
        .unique([*key, "arrived_at"], maintain_order=True)
        .filter(pl.col("arrival_date") < END)
    )


def _moment(random: np.random.Generator, latest: float) -> datetime:
    moment = START_AT + timedelta(microseconds=int(random.uniform(0, latest) * 864e8))
    # Edges are where windows go wrong.
    return (
        moment.replace(hour=0, minute=0, second=0, microsecond=0)
        if random.random() < 0.1
        else moment
    )


def _payments(random: np.random.Generator, count: int) -> pl.DataFrame:
    rows: list[dict[str, object]] = []
    bursts = [_moment(random, DAYS - 2) for _ in range(count // 6)]
    for number in range(count):
        event_at = _moment(random, DAYS - 1)
        if random.random() < 0.6:
            # Bursts: minutes from each other, and sometimes in the same microsecond.
            event_at = bursts[random.integers(len(bursts))] + timedelta(
                minutes=int(random.choice([0, 1, 4, 5, 30, 60, 300, 1440]))
            )
        arrived_at = event_at + timedelta(seconds=int(random.choice([0, 0, 30])))
        if random.random() < 0.25:
            arrived_at = event_at + timedelta(days=float(random.choice([0.2, 1, 6.5, 25, 31, 40])))
        row = {
            "payment_id": f"p{number}",
            "customer_id": f"customer{random.integers(5)}",
            "card_id": _card(random, number),
            "merchant_id": f"merchant{random.integers(4)}",
            "device_id": None if random.random() < 0.2 else f"device{random.integers(4)}",
            "amount": round(float(random.gamma(2, 30)), 2),
            "currency": "EUR",
            "channel": ("web", "app", "in_store")[number % 3],
            "latitude": None if random.random() < 0.2 else float(random.uniform(-60, 60)),
            "longitude": float(random.uniform(-60, 60)),
            "event_at": event_at,
            "arrived_at": arrived_at,
        }
        rows.append(row)
        while random.random() < 0.2:
            arrived_at += timedelta(days=float(random.choice([0.001, 0.5, 2, 20])))
            row = {**row, "arrived_at": arrived_at, **_correction(random, event_at)}
            rows.append(row)
    frame = raw("payments", rows)
    return frame.filter(pl.col("arrival_date") < END)


def _card(random: np.random.Generator, number: int) -> str:
    # One card pays so seldom that few payments reach far back.
    return f"card{random.integers(6)}" if number % 25 else "card_seldom_used"


def _correction(random: np.random.Generator, event_at: datetime) -> dict[str, object]:
    kinds: list[dict[str, object]] = [
        {"amount": round(float(random.gamma(2, 30)), 2)},
        {"customer_id": f"customer{random.integers(5)}"},
        {"merchant_id": f"merchant{random.integers(4)}", "card_id": f"card{random.integers(6)}"},
        {"device_id": None},
        {"event_at": event_at - timedelta(days=float(random.choice([0.01, 0.5, 1, 35])))},
    ]
    return kinds[random.integers(len(kinds))]


def _chargebacks(random: np.random.Generator, payments: pl.DataFrame) -> pl.DataFrame:
    rows: list[dict[str, object]] = []
    for row in payments.iter_rows(named=True):
        if random.random() < 0.5:
            arrived_at = row["event_at"] + timedelta(days=float(random.uniform(1, 20)))
            rows.append({
                "chargeback_id": f"c{row['payment_id']}", "payment_id": row["payment_id"],
                "amount": 1.0,
                "reason": str(random.choice(["fraud", "fraud", "dispute"])),
                "event_at": arrived_at, "arrived_at": arrived_at,
            })  # fmt: skip
    return raw("chargebacks", rows).filter(pl.col("arrival_date") < END)


def _verdicts(random: np.random.Generator, payments: pl.DataFrame) -> pl.DataFrame:
    rows: list[dict[str, object]] = []
    for row in payments.iter_rows(named=True):
        arrived_at = row["event_at"]
        while random.random() < 0.6:
            arrived_at += timedelta(days=float(random.choice([0.1, 1, 5, 12])))
            rows.append({
                "verdict_id": f"v{len(rows)}", "payment_id": row["payment_id"], "analyst_id": "a",
                "is_fraud": bool(random.random() < 0.6),
                "event_at": arrived_at,
                "arrived_at": arrived_at,
            })  # fmt: skip
    return raw("verdicts", rows).filter(pl.col("arrival_date") < END)


def _records(
    random: np.random.Generator, entity: str, count: int, fixed: dict[str, object]
) -> pl.DataFrame:
    rows: list[dict[str, object]] = []
    # One entity never has a record: payments may name what no one told us of.
    for number in range(count - 1):
        arrived_at = START_AT + timedelta(days=float(random.uniform(0, 20)))
        for _ in range(random.integers(1, 4)):
            owner = {"customer_id": "customer0"} if entity == "device" else {}
            place = (
                {}
                if entity == "device"
                else {"latitude": float(random.uniform(-60, 60)), "longitude": 1.5}
            )
            rows.append({
                f"{entity}_id": f"{entity}{number}", **owner, **fixed, **place,
                "event_at": arrived_at - timedelta(days=float(random.uniform(0, 100))),
                "arrived_at": arrived_at,
            })  # fmt: skip
            arrived_at += timedelta(days=float(random.uniform(0.1, 20)))
    return raw(f"{entity}s", rows).filter(pl.col("arrival_date") < END)
