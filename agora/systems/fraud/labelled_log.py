"""Payments whose outcome is known, as the model saw them: from the log, or the training set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from agora.dataset import table_of
from agora.systems.fraud.features import FEATURE_SETS, LIGHT_SETS
from agora.systems.fraud.schema import Payment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.stores.lake import Lake

SYSTEM = "fraud"
LOG, LABELS = "predictions/fraud", "marts.payment_labels"
# With fewer no rule can be told from chance.
FEWEST_FRAUDS = 20
KINDS = {"amount": pl.Float64, "latitude": pl.Float64, "longitude": pl.Float64}


def labelled_payments(lake: Lake) -> tuple[str, pl.DataFrame]:
    """Name of the table and its payments, with features, label and decision."""
    table = table_of(SYSTEM)
    learned = lake.exists(table)
    if lake.exists(LOG):
        frame = _logged(lake)
        if frame["is_fraud"].sum() >= FEWEST_FRAUDS or (frame.height and not learned):
            return LOG, frame
    if not learned:
        raise LookupError(f"neither {LOG} nor {table} exists: there is nothing to judge rules on")
    return table, lake.read(table).with_columns(decision=pl.lit(None, pl.String))


def _logged(lake: Lake) -> pl.DataFrame:
    """Logged payments that have a label, or are old enough to be honest, as the model saw them."""
    from agora.systems.fraud.dataset import SPLIT

    days = SPLIT.label_delay.days
    found = lake.query(f"""
        with log as (
            select request, features, decision, event_at, request_id,
                max(predicted_at) over () as newest
            from predictions.fraud
            qualify row_number() over (partition by request_id order by predicted_at desc) = 1
        ),
        labels as (
            select payment_id, is_fraud from {LABELS}
            qualify row_number() over (
                partition by payment_id order by source = 'chargeback' desc, arrived_at desc
            ) = 1
        )
        select log.* exclude (newest), coalesce(is_fraud, false) as is_fraud
        from log left join labels on labels.payment_id = log.request_id
        where is_fraud is not null or event_at < newest - interval {days} day
        order by event_at, request_id
    """)
    fields = [name for name in Payment.model_fields if name != "event_at"]
    request = pl.Struct({name: KINDS.get(name, pl.String) for name in fields})
    # A model of other features logged other columns: what rules look at must be there.
    same = (_used(at).struct.field("feature_set") == each.id for at, each in enumerate(LIGHT_SETS))
    return found.filter(*same).select(
        pl.col("request").str.json_decode(request).struct.unnest(),
        *(
            column
            for at, feature_set in enumerate(FEATURE_SETS)
            for column in _features(at, feature_set.columns, feature_set.time_column)
        ),
        "event_at",
        "decision",
        "is_fraud",
    )


def _used(at: int) -> pl.Expr:
    return pl.col("features").list.get(at, null_on_oob=True)


def _features(at: int, columns: Sequence[str], time_column: str) -> list[pl.Expr]:
    logged = _used(at).struct
    return [
        *(
            logged.field("values").list.get(place, null_on_oob=True).alias(column)
            for place, column in enumerate(columns)
        ),
        logged.field("feature_at").alias(time_column),
    ]
