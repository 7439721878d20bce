"""What becomes known of lists after they were shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agora.shopping.impressions import GRADE

if TYPE_CHECKING:
    from datetime import datetime

    import polars as pl

    from agora.stores.lake import Lake

ANSWER = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$"
"""Ids of answers are version 7 UUIDs; a shop may show a list under either id."""


def outcomes(lake: Lake, as_of: datetime) -> pl.DataFrame:
    """What arrived before `as_of` of lists; a purchase outranks a cart, a cart a click."""
    return lake.query(f"""
        select
            case when not regexp_matches(list_id, '{ANSWER}') then list_id end as request_id,
            case when regexp_matches(list_id, '{ANSWER}') then list_id end as prediction_id,
            1.0::double as label,
            kind as source,
            event_at,
            arrived_at,
            {GRADE} as precedence
        from marts.interactions
        where list_id is not null and arrived_at < timestamptz '{as_of.isoformat()}'
    """)
