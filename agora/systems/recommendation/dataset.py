"""Rows that recommendation learns from, and lists that it makes in batch.

A row is a product shown on the home page; its label is what followed from that list and product: 0
nothing, 1 a click, 2 put into the cart, 3 bought.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from agora.dataset import Split
from agora.shopping import impressions
from agora.shopping.impressions import NO_FILTERS, NO_SESSION, end_of

if TYPE_CHECKING:
    from datetime import date, datetime

    import polars as pl

    from agora.stores.lake import Lake

# Purchases follow within the visit; a day leaves room for the late. Tastes need weeks; ten days of
# lists are enough to tell rankers by.
SPLIT = Split(train_days=28, calibration_days=10, test_days=7, label_delay=timedelta(days=1))
ACTIVE_DAYS = 30
KEPT = 20
"""Length of the lists that are made in batch: twice what the home page asks for."""


def labelled(lake: Lake, as_of: datetime) -> pl.DataFrame:
    """One row per product shown on the home page, as known at `as_of`."""
    request = "customer_id, k, filters, session, null::varchar as country"
    return impressions.labelled(lake, as_of, "home", request, event_at="made_at")


def requests(lake: Lake, day: date) -> pl.DataFrame:
    """One row per customer who did something in the 30 days up to `day`, asking at its end."""
    return lake.query(f"""
        with active as (
            select distinct customer_id
            from marts.interactions
            where customer_id is not null
                and arrival_date between date '{day - timedelta(days=ACTIVE_DAYS - 1)}'
                and date '{day}'
        )
        select
            '{day}/' || customer_id as request_id, customer_id, {KEPT}::double as k,
            {NO_FILTERS} as filters, {NO_SESSION} as session, null::varchar as country,
            {end_of(day)} as event_at
        from active
        order by customer_id
    """)
