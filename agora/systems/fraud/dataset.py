"""Rows that fraud learns from and rows that it scores.

A payment's row is its first version, what was known when it was made, not its later corrections.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from agora.dataset import Split

if TYPE_CHECKING:
    from datetime import date, datetime

    import polars as pl

    from agora.stores.lake import Lake

REQUEST = (
    "payment_id, customer_id, card_id, merchant_id, device_id, amount, currency, channel, country, "
    "latitude, longitude, event_at"
)
# Frauds are rare: six weeks hold enough to learn from, two enough to tell models apart. Chargebacks
# have a median delay of a week.
SPLIT = Split(train_days=42, calibration_days=7, test_days=14, label_delay=timedelta(days=7))


def labelled(lake: Lake, as_of: datetime) -> pl.DataFrame:
    """One row per payment known at `as_of`, with the newest label known then.

    `is_fraud` is false where no label has arrived (`label_arrived_at` is null): chargebacks only
    ever name frauds, so a payment counts as honest once the label delay has passed.
    """
    known = f"arrived_at <= timestamptz '{as_of.isoformat()}'"
    return lake.query(f"""
        with payments as (
            select * from marts.payments where {known}
            qualify row_number() over (partition by payment_id order by arrived_at) = 1
        ),
        labels as (
            select payment_id, is_fraud, arrived_at as label_arrived_at
            from marts.payment_labels where {known}
            qualify row_number() over (
                partition by payment_id order by source = 'chargeback' desc, arrived_at desc
            ) = 1
        )
        select {REQUEST}, coalesce(is_fraud, false) as is_fraud, label_arrived_at
        from payments left join labels using (payment_id)
        order by event_at, payment_id
    """)


def requests(lake: Lake, day: date) -> pl.DataFrame:
    """One row per payment that first arrived on `day`."""
    return lake.query(f"""
        select {REQUEST}
        from marts.payments
        where arrival_date <= date '{day.isoformat()}'
        qualify row_number() over (partition by payment_id order by arrived_at) = 1
            and arrival_date = date '{day.isoformat()}'
        order by event_at, payment_id
    """)
