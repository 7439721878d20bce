"""The marketplaces that the simulator's tests look at."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from agora.simulator import Params

if TYPE_CHECKING:
    import polars as pl

SMALL = Params(days=12, customers=300, merchants=60, payments_per_day=400, late_share=0.02)
FULL = Params(days=50, payments_per_day=2_000, sessions_per_day=40)
SHOP = Params(days=30, customers=1_500, merchants=200, payments_per_day=10, sessions_per_day=200)
DRIFT_DAY = FULL.start + timedelta(days=30)
TRUTH_COLUMNS = {"scheme", "campaign", "is_after_drift", "quality", "vector", "taste", "wants"}


def first_versions(payments: pl.DataFrame) -> pl.DataFrame:
    return payments.sort("arrived_at").unique("payment_id", keep="first").sort("payment_id")
