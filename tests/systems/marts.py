"""The marts as systems read them: payments of two months, and the shop's lists of a day."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tests.shopping import log

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from agora.stores.lake import Lake

CUSTOMERS, DAYS = 4, 60
KNOWN = log.LATER
"""When all of it has arrived."""


def marts(folder: Path, until: datetime = KNOWN) -> Lake:
    """A lake with what had arrived of the marts; every seventh payment was charged back."""
    lake = log.lake_of(folder)
    payments = _payments()
    lake.write("marts/payments", payments)
    frauds = payments.gather_every(7).select(
        "payment_id", pl.lit(value=True).alias("is_fraud"), pl.lit("chargeback").alias("source"),
        arrived_at=pl.col("arrived_at") + timedelta(hours=5),
        event_at=pl.col("event_at") + timedelta(hours=5),
    )  # fmt: skip
    lake.write("marts/payment_labels", frauds)
    for table in lake.tables():
        lake.write(table, lake.read(table).filter(pl.col("arrived_at") < until))
    return lake


def _payments() -> pl.DataFrame:
    number = np.arange(CUSTOMERS * DAYS)
    first = log.DAY - timedelta(days=DAYS - 2)
    at = pl.Series([first + timedelta(hours=6 * int(n)) for n in number])
    made = pl.DataFrame(
        {
            "payment_id": [f"p{n}" for n in number],
            "customer_id": [f"c{n % CUSTOMERS}" for n in number],
            "amount": 10.0 + number,
            "event_at": at,
            "arrived_at": at + timedelta(minutes=1),
        }
    )
    texts = {"card_id": "k", "merchant_id": "m", "device_id": "d", "currency": "EUR"}
    return made.with_columns(
        *(pl.lit(value).alias(name) for name, value in texts.items()),
        channel=pl.lit("web"), country=pl.lit("FR"), latitude=pl.lit(48.9), longitude=pl.lit(2.4),
        arrival_date=pl.col("arrived_at").dt.date(),
    )  # fmt: skip
