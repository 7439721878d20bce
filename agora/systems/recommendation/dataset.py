"""Rows that recommendation learns from, and lists that it makes in batch.

A row is a product shown on the home page; its label is what followed from that list and product: 0
nothing, 1 a click, 2 put into the cart, 3 bought.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from agora.dataset import Split

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
GRADE = "case kind when 'purchase' then 3 when 'cart' then 2 else 1 end"
FILTERS = """null::struct(
    category varchar, merchant_id varchar, price_min double, price_max double, in_stock boolean
)"""
EVENT = 'struct(product_id varchar, kind varchar, "at" timestamptz)'


def labelled(lake: Lake, as_of: datetime) -> pl.DataFrame:
    """One row per product shown on the home page, as known at `as_of`.

    `gain` is null where nothing followed yet. `session` is what the same visit did before the list
    was shown, whenever it arrived: the visitor's own screen knows it at once.
    """
    known = f"arrived_at < timestamptz '{as_of.isoformat()}'"
    return lake.query(f"""
        with shown as (
            select * from marts.impressions where surface = 'home' and {known}
            qualify row_number() over (partition by impression_id order by arrived_at) = 1
        ),
        done as (
            select * from marts.interactions where {known}
            qualify row_number() over (partition by interaction_id order by arrived_at) = 1
        ),
        labels as (
            select list_id, product_id, max({GRADE}) as gain, max(arrived_at) as label_arrived_at
            from done where list_id is not null group by all
        ),
        lists as (
            select list_id, any_value(session_id) as session_id, min(event_at) as made_at,
                count(*) as length
            from shown group by list_id
        ),
        sessions as (
            select
                lists.list_id,
                list(
                    {{'product_id': product_id, 'kind': kind, 'at': event_at}}::{EVENT}
                    order by event_at, interaction_id
                )[-50:] as session
            from lists join done using (session_id)
            where done.event_at < made_at
            group by lists.list_id, done.session_id
        )
        select
            shown.list_id as request_id, customer_id, least(length, 50)::double as k,
            {FILTERS} as filters, session, null::varchar as country, made_at as event_at,
            shown.product_id, position, propensity, gain, label_arrived_at
        from shown
        join lists on lists.list_id = shown.list_id
        left join labels on labels.list_id = shown.list_id and labels.product_id = shown.product_id
        left join sessions on sessions.list_id = shown.list_id
        order by made_at, shown.list_id, position
    """)


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
            {FILTERS} as filters, null::{EVENT}[] as session, null::varchar as country,
            timestamptz '{day + timedelta(days=1)} 00:00:00+00' - interval 1 microsecond as event_at
        from active
        order by customer_id
    """)
