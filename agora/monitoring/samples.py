"""Samples of what was scored: decoded into columns, and kept by day as the reference of later days.

The kept sample holds each column's values on their own, in an order of their own: no row, no id and
no person can be read from it, and columns may come and go.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.dataset import table_of as training_set_of
from agora.drift import MOST_DAYS, MOST_ROWS, WINDOW
from agora.monitoring.table import Measure
from agora.monitoring.traffic import of_day
from agora.serving.requests import DTYPES, Requests
from agora.stores.lake import Window, quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agora.stores.lake import Lake
    from agora.system import System

SCHEMA: dict[str, Any] = {
    "day": pl.Date(),
    "log": pl.String(),
    "model_version": pl.String(),
    "column": pl.String(),
    "numbers": pl.List(pl.Float64),
    "texts": pl.List(pl.String),
}
"""Columns of `<system>/monitoring_samples`; `day` is its partition."""
OUTPUTS = ("score", "decision")
HOUR = 3_600_000_000.0
# Days without any row are passed over; so far back it is looked for days with rows.
LOOK_BACK = timedelta(days=2 * (MOST_DAYS + WINDOW))


def table_of(system: str) -> str:
    """Lake table of a system's kept samples."""
    return f"{system}/monitoring_samples"


def sampled(lake: Lake, table: str, day: date, total: int, most: int) -> pl.DataFrame:
    """Logged rows of a day, the same ones in every run, in an order that means nothing."""
    step = max(1, total // most)
    return lake.query(f"""
        select prediction_id, request, features, score, decision, model_version, event_at
        from {of_day(lake, table, day)}
        where hash(prediction_id) % {step} = 0
        order by hash(prediction_id)
        limit {most}
    """)


def decoded(system: System, rows: pl.DataFrame) -> pl.DataFrame:
    """Request fields that are no ids, features, score and decision of logged rows, as columns."""
    fields = _fields(system)
    request = rows["request"].str.json_decode(pl.Struct(fields)).struct.unnest()
    used = _used(rows)
    parts = [request]
    for feature_set in system.feature_sets:
        values = used.filter(pl.col("feature_set") == feature_set.id)
        wide = values.select(
            "row",
            *(
                pl.col("values").list.get(place, null_on_oob=True).alias(name)
                for place, name in enumerate(feature_set.columns)
            ),
        )
        order = pl.DataFrame({"row": np.arange(len(rows), dtype=np.uint32)})
        parts.append(order.join(wide, on="row", how="left").sort("row").drop("row"))
    return pl.concat([*parts, rows.select(OUTPUTS)], how="horizontal")


def inputs_of(system: System) -> list[str]:
    """Columns that a model of the system is given, less ids and times."""
    return [*_fields(system), *(name for each in system.feature_sets for name in each.columns)]


def freshness(system: System, log: str, rows: pl.DataFrame) -> Iterator[Measure]:
    """Age of the rows used, in hours before the event, and the share of entities without a row."""
    used = _used(rows).with_columns(
        age=(pl.col("event_at") - pl.col("feature_at")).dt.total_microseconds() / HOUR
    )
    found = used.group_by("feature_set").agg(
        pl.col("age").quantile(0.5).alias("p50"),
        pl.col("age").quantile(0.95).alias("p95"),
        pl.col("age").null_count().alias("absent"),
        pl.len().alias("n"),
    )
    for name, p50, p95, absent, n in found.sort("feature_set").iter_rows():
        yield Measure("feature_age_p50_hours", f"{log}/{name}", p50, rows=n - absent)
        yield Measure("feature_age_p95_hours", f"{log}/{name}", p95, rows=n - absent)
        yield Measure("feature_absent_share", f"{log}/{name}", absent / n, rows=n)


def keep(lake: Lake, system: str, day: date, log: str, version: str, frame: pl.DataFrame) -> None:
    """Replace what is kept of a day."""
    columns = []
    for column in frame.head(MOST_ROWS).iter_columns():
        is_text = column.dtype == pl.String
        # Each column on its own: what stood in one row cannot be put together again.
        values = column.sort().to_list()
        columns.append(
            (
                day,
                log,
                version,
                column.name,
                None if is_text else values,
                values if is_text else None,
            )
        )
    rows = pl.DataFrame(columns, schema=SCHEMA, orient="row")
    lake.write(table_of(system), rows, window=Window("day", day, day + timedelta(days=1)))


def kept(
    lake: Lake, system: str, day: date, columns: Sequence[str], version: str = ""
) -> pl.DataFrame:
    """`day` and the columns of the days up to one, as far as all of these days have them."""
    if not lake.exists(table_of(system)):
        return pl.DataFrame(schema={"day": pl.Date()})
    where = f"day > date '{day - LOOK_BACK}' and day <= date '{day}'"
    where += f" and model_version = '{version}'" if version else ""
    rows = lake.read(table_of(system), where=where).filter(pl.col("column").is_in(list(columns)))
    wide = pl.DataFrame(schema={"day": pl.Date()})
    for values in ("numbers", "texts"):
        part = rows.filter(pl.col(values).is_not_null()).select("day", "column", values)
        if part.height:
            lists = part.pivot(on="column", index="day", values=values).sort("day")
            whole = [name for name in lists.columns if not lists[name].null_count()]
            long = lists.select(whole).explode([name for name in whole if name != "day"])
            wide = (
                long
                if not wide.width > 1
                else pl.concat([wide, long.drop("day")], how="horizontal")
            )
    return wide


def of_training(system: System, lake: Lake) -> pl.DataFrame:
    """`day` and the inputs of random rows of the newest training set, as many of each day."""
    table = training_set_of(system.name)
    if not lake.exists(table):
        return pl.DataFrame(schema={"day": pl.Date()})
    held = {field.name for field in lake.table(table).schema().fields}
    chosen = ", ".join(quote(column) for column in inputs_of(system) if column in held)
    scan = lake.scan(table)
    return lake.query(f"""
        with chosen as (
            select row_number, event_at::date as day from ({scan})
            qualify row_number() over (partition by day order by hash(row_number)) <= {MOST_ROWS}
        )
        select day, {chosen} from ({scan}) join chosen using (row_number) order by row_number
    """)


def _fields(system: System) -> dict[str, pl.DataType]:
    """Request fields that are compared: no ids, no times, no lists and objects."""
    requests = Requests(system)
    ids = {requests.id_field, *system.entities.values()}
    return {
        name: DTYPES[kind]
        for name, kind in requests.kinds.items()
        if name not in ids and kind in DTYPES and kind != "time"
    }


def _used(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per logged row and feature set."""
    return (
        rows.select("event_at", "features")
        .with_row_index("row")
        .explode("features")
        .drop_nulls("features")
        .unnest("features")
    )
