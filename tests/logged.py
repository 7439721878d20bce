"""Rows of the prediction log made from columns, for tests of what reads the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from agora.schema import TIME
from agora.stores.drain import SCHEMA

if TYPE_CHECKING:
    from datetime import date

    from agora.system import System


def logged(
    system: System,
    frame: pl.DataFrame,
    day: date,
    *,
    scores: Any,
    decisions: Any,
    prefix: str = "p",
    latencies: dict[str, int] | None = None,
    **more: Any,
) -> pl.DataFrame:
    """One prediction per row: request columns and features as `tests.systems.synthetic` makes them.

    Args:
        system: Whose.
        frame: Request columns, `event_at`, feature columns and their times.
        day: Day of the predictions.
        scores: Of each row.
        decisions: Of each row.
        prefix: Of the prediction ids.
        latencies: Nanoseconds by stage, the same for all rows.
        more: Further columns of the log.
    """
    request = [name for name in system.request.model_fields if name in frame.columns]
    rows = frame.with_columns(
        prediction_id=pl.format(
            "{}-{}-{}", pl.lit(prefix), pl.lit(str(day)), pl.int_range(pl.len())
        ),
        system=pl.lit(system.name),
        model_version=pl.lit("1"),
        request_id=pl.col(request[0]),
        entity_ids=pl.concat_list(
            pl.struct(entity=pl.lit(entity.name), id=pl.col(column).cast(pl.String))
            for entity, column in system.entities.items()
        ),
        request=pl.struct(request).struct.json_encode(),
        features=pl.concat_list(
            pl.struct(
                feature_set=pl.lit(each.id),
                feature_at=pl.col(each.time_column).cast(TIME),
                values=pl.concat_list(pl.col(each.columns).cast(pl.Float64)),
                arrived_at=pl.col(each.time_column).cast(TIME),
            )
            for each in system.feature_sets
        ),
        score=pl.Series(scores),
        decision=pl.Series(decisions),
        degraded=pl.lit(value=False),
        predicted_at=pl.col("event_at"),
        prediction_date=pl.lit(day),
        latencies=pl.concat_list(
            pl.struct(stage=pl.lit(stage), nanoseconds=pl.lit(spent, pl.Int64))
            for stage, spent in (latencies or {"inference": 1_000_000}).items()
        ),
    ).with_columns(**more)
    return rows.select(
        (pl.col(name) if name in rows.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in SCHEMA.items()
    )
