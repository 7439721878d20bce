"""The table of measures: one row per day, metric and slice, for every system alike."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from agora.schema import TIME
from agora.stores.lake import Window, literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agora.evaluation import Estimate
    from agora.stores.lake import Lake

SCHEMA: dict[str, pl.DataType] = {
    "day": pl.Date(),
    "metric": pl.String(),
    "slice": pl.String(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "rows": pl.Int64(),
    "as_of": TIME,
}
"""Columns of `<system>/monitoring`; `day` is its partition, `as_of` says which labels counted."""


class Measure(NamedTuple):
    """One figure of one day.

    Attributes:
        metric: What is measured; latencies in milliseconds, ages in hours, shares from 0 to 1.
        slice: Log (`live`, `batch`), and behind a slash the part of it.
        value: The figure; null where it cannot be said.
        low: Lower end of its 95 % interval.
        high: Upper end.
        rows: Rows that it rests on.
    """

    metric: str
    slice: str
    value: float | None
    low: float | None = None
    high: float | None = None
    rows: int = 0

    @classmethod
    def of(cls, metric: str, part: str, estimate: Estimate, rows: int) -> Measure:
        """A measure with its interval."""
        return cls(metric, part, estimate.value, estimate.low, estimate.high, rows)


def table_of(system: str) -> str:
    """Lake table of a system's measures."""
    return f"{system}/monitoring"


def write(
    lake: Lake, system: str, day: date, measures: Iterable[Measure], as_of: datetime
) -> pl.DataFrame:
    """Replace a day's measures, in one commit."""
    rows = [(day, *measure, as_of.astimezone(UTC)) for measure in measures]
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row").with_columns(
        pl.col("value", "low", "high").fill_nan(None)
    )
    lake.write(table_of(system), frame, window=Window("day", day, day + timedelta(days=1)))
    return frame


def read(lake: Lake, system: str, first: date, last: date, *metrics: str) -> pl.DataFrame:
    """Measures of the days from first to last, of some metrics or all."""
    table = table_of(system)
    if not lake.exists(table):
        return pl.DataFrame(schema=SCHEMA)
    where = f"day between date '{first}' and date '{last}'"
    if metrics:
        where += f" and metric in ({', '.join(literal(metric) for metric in metrics)})"
    return lake.read(table, where=where).cast(SCHEMA)  # type: ignore[arg-type]
