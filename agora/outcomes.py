"""Outcomes: what became known of each prediction, joined as it arrives, each event exactly once.

One row per prediction and label event in `<system>/outcomes`. Logged answers and batch predictions
both take part; every prediction of a request gets the request's labels. Nothing is ever taken back:
a row says what arrived, and `precedence` says which of several counts.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from agora.schema import TIME
from agora.stores.lake import scan_sql
from agora.stores.snapshot import Snapshot

if TYPE_CHECKING:
    from agora.stores.lake import Lake
    from agora.system import System

SCHEMA: dict[str, pl.DataType] = {
    "prediction_id": pl.String(),
    "request_id": pl.String(),
    "log": pl.String(),
    "model_version": pl.String(),
    "predicted_at": TIME,
    "prediction_date": pl.Date(),
    "label": pl.Float64(),
    "source": pl.String(),
    "precedence": pl.Int64(),
    "label_event_at": TIME,
    "label_arrived_at": TIME,
    "joined_at": TIME,
}
"""Columns of `<system>/outcomes`; `prediction_date` is its partition."""
LABELS = {
    "request_id": pl.String(),
    "prediction_id": pl.String(),
    "label": pl.Float64(),
    "source": pl.String(),
    "event_at": TIME,
    "arrived_at": TIME,
    "precedence": pl.Int64(),
}
PARTITION = "prediction_date"
LIVE, BATCH = "live", "batch"
# A chargeback may come 120 days after the payment: so far back a day's labels are looked up.
HORIZON = timedelta(days=180)
TRANSACTION = "outcomes"
ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What a join did and what it left.

    Attributes:
        added: Rows added to the table.
        events: Label events that arrived since the first prediction.
        unmatched_events: Those without a prediction.
        predictions: Predictions in both logs.
        unlabelled: Those of which nothing has become known yet.
    """

    added: int
    events: int
    unmatched_events: int
    predictions: int
    unlabelled: int


def table_of(system: str) -> str:
    """Lake table of a system's outcomes."""
    return f"{system}/outcomes"


def logs_of(system: str) -> dict[str, str]:
    """Lake tables of a system's predictions, by log."""
    return {LIVE: f"predictions/{system}", BATCH: f"{system}/predictions"}


def join_outcomes(system: System, lake: Lake, as_of: datetime | None = None) -> Joined:
    """Add the pairs of prediction and label event that are not in the table yet.

    Two joins at once never add a pair twice: the later commit is refused and its join repeated.

    Args:
        system: Whose; one without outcomes keeps an empty table.
        lake: Where logs, labels and the table are.
        as_of: Only labels that arrived before count; None: all that are there.
    """
    now = datetime.now(UTC)
    table = table_of(system.name)
    for attempt in range(ATTEMPTS):
        held = _created(lake, table)
        snapshot = Snapshot.of(lake)
        labels = _labels(system, snapshot, as_of or now + timedelta(days=1))
        logs = predictions_sql(snapshot, system.name)
        new = _pairs(lake, held, logs, labels).with_columns(joined_at=pl.lit(now)).cast(SCHEMA)  # type: ignore[arg-type]
        if new.is_empty():
            break
        try:
            _commit(held, new, snapshot.versions)
        except CommitFailedError:
            if attempt + 1 == ATTEMPTS:
                raise
        else:
            break
    return Joined(added=len(new), **_counts(lake, table, logs, labels))


def matched(system: System, lake: Lake, day: date) -> tuple[int, int]:
    """Label events that arrived on a day, and those of them that belong to a prediction."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    labels = _labels(system, lake, start + timedelta(days=1)).filter(pl.col("arrived_at") >= start)
    found = lake.query(
        f"""
        with logged as materialized ({predictions_sql(lake, system.name, day - HORIZON)})
        select count(*), count(*) filter (
            request_id in (select request_id from logged)
            or prediction_id in (select prediction_id from logged)
        ) from labels
        """,
        labels=labels,
    )
    return found.row(0)


def predictions_sql(lake: Lake, system: str, since: date = date.min) -> str:
    """A SELECT over both logs' identifying columns, partitions before `since` left out."""
    parts = [
        f"select prediction_id, request_id, '{log}' as log, model_version, predicted_at, "
        f"prediction_date from ({lake.scan(table)}) where {PARTITION} >= date '{since}'"
        for log, table in logs_of(system).items()
        if lake.exists(table)
    ]
    nothing = (
        "select ''::varchar as prediction_id, ''::varchar as request_id, '' as log, "
        "''::varchar as model_version, now() as predicted_at, current_date as prediction_date "
        "where false"
    )
    return " union all ".join(parts or [nothing])


def _labels(system: System, lake: Lake, as_of: datetime) -> pl.DataFrame:
    """Label events, with every column of `LABELS`."""
    if system.outcomes is None:
        return pl.DataFrame(schema=LABELS)
    found = system.outcomes(lake, as_of)
    absent = {"label", "source", "event_at", "arrived_at"} - set(found.columns)
    if absent:
        raise ValueError(f"{system.name}: outcomes lack {', '.join(sorted(absent))}")
    return found.select(
        (pl.col(name) if name in found.columns else pl.lit(0 if name == "precedence" else None))
        .cast(kind)
        .alias(name)
        for name, kind in LABELS.items()
    )


def _pairs(lake: Lake, held: DeltaTable, logs: str, labels: pl.DataFrame) -> pl.DataFrame:
    """Pairs that the table lacks; a label event that comes twice counts once."""
    return lake.query(
        f"""
        with events as (
            select distinct on (request_id, prediction_id, source, arrived_at) * from labels
            order by precedence desc, label desc
        ),
        logged as materialized ({logs}),
        pairs as (
            select p.*, e.* exclude (request_id, prediction_id)
            from logged as p join events as e on p.request_id = e.request_id
            where e.prediction_id is null
            union all
            select p.*, e.* exclude (request_id, prediction_id)
            from logged as p join events as e on p.prediction_id = e.prediction_id
        )
        select
            prediction_id, request_id, log, model_version, predicted_at, prediction_date,
            label, source, precedence, event_at as label_event_at, arrived_at as label_arrived_at
        from pairs as new
        where not exists (
            from ({scan_sql(held)}) as old
            where old.prediction_id = new.prediction_id
                and old.source = new.source
                and old.label_arrived_at = new.arrived_at
        )
        order by prediction_date, prediction_id, arrived_at
        """,
        labels=labels,
    )


def _counts(lake: Lake, table: str, logs: str, labels: pl.DataFrame) -> dict[str, int]:
    return lake.query(
        f"""
        with logged as materialized ({logs}),
        held as materialized (select distinct prediction_id from ({lake.scan(table)})),
        events as (
            select * from labels
            where arrived_at >= (select min(prediction_date) from logged)
        )
        select
            (select count(*) from events) as events,
            (select count(*) from events as e
                where not exists (from logged as p where p.request_id = e.request_id)
                and not exists (from logged as p where p.prediction_id = e.prediction_id)
            ) as unmatched_events,
            (select count(*) from logged) as predictions,
            (select count(*) from logged anti join held using (prediction_id)) as unlabelled
        """,
        labels=labels,
    ).row(0, named=True)


def _created(lake: Lake, table: str) -> DeltaTable:
    """The table, made empty if it is absent; two first joins leave one table."""
    if not lake.exists(table):
        schema = pa.schema(pl.DataFrame(schema=SCHEMA).to_arrow().schema)
        with suppress(DeltaError):
            return DeltaTable.create(
                lake.uri(table), schema, mode="ignore", partition_by=[PARTITION],
                storage_options=lake.options,
                # A retry would commit the schema a second time.
                commit_properties=CommitProperties(max_commit_retries=0),
            )  # fmt: skip
    return lake.table(table)


def _commit(held: DeltaTable, new: pl.DataFrame, versions: dict[str, int]) -> None:
    write_deltalake(
        held,
        new.to_arrow(),
        mode="append",
        commit_properties=CommitProperties(
            custom_metadata={f"read {name}": str(version) for name, version in versions.items()},
            # Of two commits that started from one version, Delta refuses the second.
            app_transactions=[Transaction(TRANSACTION, held.version() + 1)],
        ),
    )
