"""A landing folder and a lake, and payments to put there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from agora.ingest import ingest
from agora.tables import PAYMENTS

if TYPE_CHECKING:
    from pathlib import Path

    from agora.ingest import IngestReport
    from agora.stores.lake import Lake

DAY = date(2026, 1, 1)
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


def payments(rows: int, first: int = 0, day: date = DAY) -> pl.DataFrame:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    numbers = range(first, first + rows)
    times = [start + timedelta(seconds=number) for number in numbers]
    return pl.DataFrame(
        {
            "payment_id": [f"p{number}" for number in numbers],
            "customer_id": "c1",
            "card_id": "k1",
            "merchant_id": "m1",
            "amount": [float(number) for number in numbers],
            "currency": "EUR",
            "channel": "web",
            "event_at": times,
            "arrived_at": times,
        },
        schema_overrides={
            "payment_id": pl.String,
            "amount": pl.Float64,
            "event_at": pl.Datetime("us", "UTC"),
            "arrived_at": pl.Datetime("us", "UTC"),
        },
    )


@dataclass
class Place:
    """Where payments land and where they are taken to."""

    landing: Path
    lake: Lake

    def day(self, day: date = DAY) -> Path:
        folder = self.landing / "payments" / f"dt={day}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def take(self, days: int = 1, start: date = DAY) -> IngestReport:
        return ingest(self.lake, str(self.landing), PAYMENTS, start, start + timedelta(days=days))

    def raw(self) -> pl.DataFrame:
        return self.lake.read("raw/payments").sort("payment_id", "arrived_at")

    def quarantine(self) -> pl.DataFrame:
        return self.lake.read("quarantine/payments").sort("source_file", "row_number")
