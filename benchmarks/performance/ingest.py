"""Ingestion of 10 million payments of 30 days, with validation, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

ROWS = 10_000_000
DAYS = 30
START = date(2026, 1, 1)
TARGET_SECONDS = 120
TARGET_MEGABYTES = 4096

MEASURED = """
import json, resource, sys, time
from datetime import date, timedelta
from agora.ingest import ingest
from agora.stores.lake import Lake
from agora.tables import PAYMENTS

root, start, days = sys.argv[1], date.fromisoformat(sys.argv[2]), int(sys.argv[3])
began = time.perf_counter()
report = ingest(
    Lake(f"{root}/lake"), f"{root}/landing", PAYMENTS, start, start + timedelta(days=days)
)
seconds = time.perf_counter() - began
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "seconds": seconds,
    "cpu_seconds": usage.ru_utime + usage.ru_stime,
    "megabytes": usage.ru_maxrss / 1024,
    "accepted": report.rows_accepted,
    "rejected": report.rows_rejected,
}))
"""


def run(rows: int = ROWS) -> list[dict[str, Any]]:
    with TemporaryDirectory() as folder:
        land(Path(folder) / "landing", rows)
        command = [sys.executable, "-c", MEASURED, folder, START.isoformat(), str(DAYS)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    if found["accepted"] + found["rejected"] != rows // DAYS * DAYS or not found["rejected"]:
        raise RuntimeError(f"rows were lost or none was rejected: {found}")
    reference = f"{found['cpu_seconds']:.0f} CPU seconds, {found['rejected']:,} rows rejected"
    return [
        _row("ingest_10m_seconds", found["seconds"], TARGET_SECONDS, "s", reference),
        _row("ingest_10m_peak_mb", found["megabytes"], TARGET_MEGABYTES, "MB", ""),
    ]


def _row(metric: str, value: float, target: float, unit: str, reference: str) -> dict[str, Any]:
    return {
        "benchmark": "ingest",
        "system": "raw",
        "metric": metric,
        "value": value,
        "target": target,
        "reference": reference,
        "unit": unit,
        "met": value <= target,
    }


def land(landing: Path, rows: int) -> None:
    """Payments of 30 days, one file a day; one row in a thousand has a negative amount."""
    random = np.random.default_rng(7)
    per_day = rows // DAYS
    for number in range(DAYS):
        day = START + timedelta(days=number)
        folder = landing / "payments" / f"dt={day}"
        folder.mkdir(parents=True)
        first = number * per_day
        _payments(random, day, first, per_day).write_parquet(folder / "payments.parquet")


def _payments(random: np.random.Generator, day: date, first: int, rows: int) -> pl.DataFrame:
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000
    times = pl.Series(midnight + np.sort(random.integers(0, 86_400_000_000, rows)))
    amounts = random.lognormal(3.5, 1.0, rows)
    amounts[::1000] *= -1

    def ids(prefix: str, count: int) -> pl.Expr:
        numbers = pl.Series(random.integers(0, count, rows))
        return pl.format(f"{prefix}-{{}}", pl.lit(numbers))

    def choice(values: list[str]) -> pl.Expr:
        numbers = pl.Series(random.integers(0, len(values), rows))
        return pl.lit(pl.Series(values)).gather(pl.lit(numbers))

    return pl.select(
        payment_id=pl.format("payment-{}", pl.int_range(first, first + rows)),
        order_id=pl.format("order-{}", pl.int_range(first, first + rows)),
        customer_id=ids("customer", 200_000),
        card_id=ids("card", 250_000),
        merchant_id=ids("merchant", 5_000),
        device_id=ids("device", 300_000),
        amount=pl.lit(pl.Series(amounts)),
        currency=choice(["EUR", "USD", "GBP"]),
        channel=choice(["web", "app", "in_store"]),
        country=choice(["FI", "DE", "FR", "US"]),
        latitude=pl.lit(pl.Series(random.uniform(-60, 70, rows))),
        longitude=pl.lit(pl.Series(random.uniform(-180, 180, rows))),
        event_at=pl.lit(times).cast(pl.Datetime("us", "UTC")),
        arrived_at=pl.lit(times).cast(pl.Datetime("us", "UTC")),
    )
