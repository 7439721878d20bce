"""What analysts said, and the logged predictions that they spoke of."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import duckdb
import numpy as np
import polars as pl

from agora.schema import TIME
from agora.stores.lake import literal, quote

if TYPE_CHECKING:
    from datetime import datetime

    from agora.adjustments import Adjusting, Adjustments
    from agora.settings import Settings
    from agora.stores.lake import Lake
    from agora.system import System

Array = np.ndarray[Any, Any]

# A day may be built late; what arrived before is in the lake.
FRESH = timedelta(days=3)
# The newest decisions, on which the gate counts how many would change.
RECENT_ROWS = 2_000


def known_labels(
    system: System, settings: Settings, lake: Lake, now: datetime, rule: Adjusting
) -> pl.DataFrame:
    """What analysts said within the window: from the lake, and what has only just arrived."""
    parts: list[pl.DataFrame] = []
    if system.outcomes is not None:
        # Labels have no table before the first day is built.
        with suppress(duckdb.CatalogException):
            parts.append(system.outcomes(lake, now + timedelta(microseconds=1)))
    if rule.fresh is not None:
        # Only the window's last days: what is older has been taken into the lake.
        parts.append(rule.fresh(settings, now - FRESH))
    wanted = {
        "request_id": pl.String(), "prediction_id": pl.String(), "label": pl.Float64(),
        "source": pl.String(), "arrived_at": TIME,
    }  # fmt: skip
    alike = [
        part.select(
            (pl.col(name) if name in part.columns else pl.lit(None)).cast(kind).alias(name)
            for name, kind in wanted.items()
        )
        for part in parts
    ]
    return pl.concat([pl.DataFrame(schema=wanted), *alike]).filter(
        pl.col("source").is_in(system.retraining.label_sources)
        & pl.col("arrived_at").is_between(now - rule.window, now)
    )


def evidence(
    system: System, lake: Lake, version: str, labels: pl.DataFrame, now: datetime
) -> pl.DataFrame:
    """Predictions of this model with the newest label of each; also `label` and `labelled_at`."""
    table = f"predictions/{system.name}"
    if labels.is_empty() or not lake.exists(table):
        return pl.DataFrame()
    newest = labels.sort("arrived_at").rename({"arrived_at": "labelled_at"})
    rows = lake.query(
        f"""
        select log.prediction_id, log.entity_ids, log.score, log.event_at, log.predicted_at,
            coalesce(p.label, r.label) as label,
            coalesce(p.labelled_at, r.labelled_at) as labelled_at
        from ({_log(system, now)}) as log
        left join by_prediction as p on p.prediction_id = log.prediction_id
        left join by_request as r on r.request_id = log.request_id
        where coalesce(p.label, r.label) is not null and {_of_model("log.model_version", version)}
        order by log.prediction_id
        """,
        by_prediction=newest.drop_nulls("prediction_id").unique("prediction_id", keep="last"),
        by_request=newest.drop_nulls("request_id").unique("request_id", keep="last"),
    )
    return rows


def whole(system: System, lake: Lake, rows: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The rows with request and features: the wide columns are read for few rows only."""
    first = cast("datetime", rows["predicted_at"].min())
    wide = lake.query(
        "select prediction_id, request, features, fallbacks "
        f"from ({_log(system, now)}) semi join ids using (prediction_id) "
        f"where predicted_at >= timestamptz '{first.isoformat()}'",
        ids=rows.select("prediction_id"),
    )
    return rows.join(wide, on="prediction_id", maintain_order="left")


def recent(system: System, lake: Lake, version: str, now: datetime) -> pl.DataFrame:
    """The model's newest predictions, without the wide columns."""
    return lake.query(
        "select prediction_id, entity_ids, event_at, predicted_at "
        f"from ({_log(system, now)}) where {_of_model('model_version', version)} "
        f"order by predicted_at desc, prediction_id limit {RECENT_ROWS}"
    )


def ids_of(rows: pl.DataFrame, entity: str) -> pl.Series:
    """Id of each row's entity, null where it has none."""
    own = pl.element().struct.field("entity") == entity
    found = rows["entity_ids"].list.eval(pl.element().filter(own).struct.field("id"))
    return found.list.first()


def shift_of(rows: pl.DataFrame, made: Adjustments) -> Array:
    """Shift of each row, by its entities."""
    ids = {entity: ids_of(rows, entity).to_numpy() for entity in made.shifts}
    return made.shift(ids, rows["event_at"].dt.epoch("us").to_numpy())


def _log(system: System, now: datetime) -> str:
    """A SELECT over the live predictions within the window that had all their parts."""
    assert system.adjusting is not None
    since = now - system.adjusting.window
    # What answered without features is not what the model expects.
    return (
        f"select * from predictions.{quote(system.name)} "
        f"where prediction_date >= date '{since.date()}' and not degraded"
    )


def _of_model(column: str, version: str) -> str:
    """A condition: the model's own answers, adjusted or not."""
    return f"({column} = {literal(version)} or starts_with({column}, {literal(version + '+a')}))"
