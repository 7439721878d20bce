"""Shown products as labelled rows.

A row is a product of a list that was shown on a surface of the shop; its label is what followed
from that list and product: 0 nothing, 1 a click, 2 put into the cart, 3 bought.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import date, datetime

    import polars as pl

    from agora.stores.lake import Lake

LABEL = "gain"
GRADE = "case kind when 'purchase' then 3 when 'cart' then 2 else 1 end"
EVENT = 'struct(product_id varchar, kind varchar, "at" timestamptz)'
NO_SESSION = f"null::{EVENT}[]"
NO_FILTERS = """null::struct(
    category varchar, merchant_id varchar, price_min double, price_max double, in_stock boolean
)"""


def labelled(
    lake: Lake,
    as_of: datetime,
    surface: Literal["home", "search"],
    request: str,
    *,
    event_at: Literal["made_at", "event_at"],
    where: str = "true",
) -> pl.DataFrame:
    """One row per product shown on a surface, as known at `as_of`.

    `gain` is null where nothing followed yet. `session` is what the same visit did before the list
    was shown, whenever it arrived: the visitor's own screen knows it at once.

    Args:
        lake: With the marts of impressions and interactions.
        as_of: What arrived before is known.
        surface: Where it was shown.
        request: SQL of the request's columns after its id, from those of an impression and `k`,
            `filters` and `session`.
        event_at: The row's time: when its list was made, or when the product itself was shown.
        where: SQL of the impressions that count.
    """
    known = f"arrived_at < timestamptz '{as_of.isoformat()}'"
    return lake.query(f"""
        with shown as (
            select * from marts.impressions where surface = '{surface}' and ({where}) and {known}
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
                least(count(*), 50)::double as k
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
            group by lists.list_id
        ),
        listed as (
            select
                shown.*, made_at, k, {NO_FILTERS} as filters, session, gain, label_arrived_at
            from shown
            join lists on lists.list_id = shown.list_id
            left join labels
                on labels.list_id = shown.list_id and labels.product_id = shown.product_id
            left join sessions on sessions.list_id = shown.list_id
        )
        select
            list_id as request_id, {request}, {event_at} as event_at, product_id, position,
            propensity, gain, label_arrived_at
        from listed
        order by {event_at}, list_id, position
    """)


def end_of(day: date) -> str:
    """SQL of the last moment of a day, when lists that are made in batch are asked for."""
    return f"timestamptz '{day + timedelta(days=1)} 00:00:00+00' - interval 1 microsecond"
