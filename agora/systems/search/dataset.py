"""Rows that search learns from, and lists that it makes in batch.

A row is a product shown in answer to a search; its label is what followed from that list and
product: 0 nothing, 1 a click, 2 put into the cart, 3 bought.
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

# Purchases follow within the visit; a day leaves room for the late. Words and categories need
# weeks; ten days of lists are enough to tell rankers by.
SPLIT = Split(train_days=28, calibration_days=10, test_days=7, label_delay=timedelta(days=1))
KEPT, KEPT_QUERIES = 20, 500
"""Length of the lists that are made in batch, and how many: a day's most frequent queries."""
QUERIES = "length(trim(query)) between 1 and 500"
"""Those that a caller may send."""


def labelled(lake: Lake, as_of: datetime) -> pl.DataFrame:
    """One row per product shown in answer to a search, as known at `as_of`."""
    request = "trim(query) as query, customer_id, k, filters, 0.0::double as facets, session"
    return impressions.labelled(lake, as_of, "search", request, event_at="event_at", where=QUERIES)


def requests(lake: Lake, day: date) -> pl.DataFrame:
    """One row per query that was typed most on `day`, asked by nobody at its end."""
    return lake.query(f"""
        with typed as (
            select trim(query) as query, count(*) as times
            from marts.searches
            where arrival_date = date '{day}' and {QUERIES}
            group by all
            order by times desc, query
            limit {KEPT_QUERIES}
        )
        select
            '{day}/' || md5(query) as request_id, query, null::varchar as customer_id,
            {KEPT}::double as k, {NO_FILTERS} as filters, 0.0::double as facets,
            {NO_SESSION} as session, {end_of(day)} as event_at
        from typed
        order by query
    """)
