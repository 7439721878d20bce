"""What analysts have just said, from the landing folder: before a run takes it into the lake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from agora.ingest.peek import landed_rows
from agora.tables import VERDICTS

if TYPE_CHECKING:
    from datetime import datetime

    from agora.settings import Settings


def fresh_verdicts(settings: Settings, since: datetime) -> pl.DataFrame:
    """Verdicts that arrived since a time: `request_id`, `label`, `source`, `arrived_at`."""
    return landed_rows(settings.landing, VERDICTS, since.date()).select(
        pl.col("payment_id").alias("request_id"),
        pl.col("is_fraud").cast(pl.Float64).alias("label"),
        pl.lit("verdict").alias("source"),
        "arrived_at",
    )
