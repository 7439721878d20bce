"""Contracts of tables: columns, types, keys, ranges, personal data.

A `Table` is what producers and the platform agree on. `column_faults` says what is wrong with a
whole file; `validate` splits its rows into what holds and what does not, with every reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Kind = Literal["string", "integer", "number", "boolean", "timestamp"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a contract.

    Attributes:
        name: Column name, snake_case.
        kind: Logical type. Timestamps are UTC with microseconds.
        description: What it means, with its unit.
        nullable: Whether a row may leave it empty.
        minimum: Smallest value allowed, inclusive.
        maximum: Largest value allowed, inclusive.
        allowed: Closed list of values; empty means open.
        max_length: Longest string allowed.
        personal: Personal data: never logged, erased on request.
    """

    name: str
    kind: Kind
    description: str
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    max_length: int = 256
    personal: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A landing contract.

    Attributes:
        name: Table name, plural.
        grain: What one row is, in a sentence.
        columns: The table's own columns; `event_at` and `arrived_at` are added to every table.
        key: Columns that identify a row version together with `arrived_at`.
        owner: Dagster owner, `team:<name>`.
        frequency: How often producers deliver.
        consumers: Who reads it.
        max_rejected_share: Share of rejected rows above which the blocking check fails.
    """

    name: str
    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    owner: str
    frequency: str = "daily"
    consumers: tuple[str, ...] = ()
    max_rejected_share: float = 0.01

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """The table's columns, then `event_at` and `arrived_at`."""
        return (*self.columns, EVENT_AT, ARRIVED_AT)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        return tuple(column.name for column in self.all_columns)


EVENT_AT = Column("event_at", "timestamp", "When it happened, UTC.")
ARRIVED_AT = Column("arrived_at", "timestamp", "When the platform could know it, UTC.")


def timestamp_of(frame: pl.DataFrame, name: str) -> pl.Series:
    """A column of a file as UTC timestamps; null where it cannot be read as one."""
    column = Column(name, "timestamp", "A time.")
    cleaned = frame.select(_clean(column, frame.schema[name]))
    if not _convertible("timestamp", cleaned.schema[name]):
        return pl.Series(name, [None] * frame.height, dtype("timestamp"))
    return cleaned.select(
        _converted("timestamp", pl.col(name), cleaned.schema[name]).cast(dtype("timestamp"))
    ).to_series()


EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
CLOCK_SKEW = timedelta(days=1)
SHOWN = 60
READABLE: dict[Kind, str] = {
    "string": "text", "integer": "a whole number", "number": "a finite number",
    "boolean": "true or false", "timestamp": "an ISO 8601 timestamp (such as 2026-01-31T23:59:59Z)",
}  # fmt: skip


def dtype(kind: Kind) -> pl.DataType:
    """The Polars type of a kind."""
    types: dict[Kind, pl.DataType] = {
        "string": pl.String(),
        "integer": pl.Int64(),
        "number": pl.Float64(),
        "boolean": pl.Boolean(),
        "timestamp": pl.Datetime("us", "UTC"),
    }
    return types[kind]


def schema_of(table: Table) -> dict[str, pl.DataType]:
    """Polars types of all columns of a contract."""
    return {column.name: dtype(column.kind) for column in table.all_columns}


def column_faults(table: Table, schema: Mapping[str, pl.DataType]) -> dict[str, str]:
    """Columns of a file that cannot fit, whatever its rows hold: missing, or of a foreign type.

    `arrived_at` may be absent: `validate` then assumes it.
    """
    faults = {}
    spare = unexpected_columns(table, schema)
    for column in table.all_columns:
        if column.name in schema:
            if not _convertible(column.kind, schema[column.name]):
                faults[column.name] = (
                    f"holds {schema[column.name]} in the file, {READABLE[column.kind]} is expected"
                )
        elif _required(table, column) and column is not ARRIVED_AT:
            faults[column.name] = f"the column is missing{suggestion(column.name, spare)}"
    return faults


def unexpected_columns(table: Table, names: Iterable[str]) -> tuple[str, ...]:
    """Names that the contract does not know, in order."""
    return tuple(name for name in names if name not in set(table.names))


def suggestion(wanted: str, names: Iterable[str]) -> str:
    """`; did you mean 'x'?` when one of the names resembles the wanted one."""
    folded = {re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_"): name for name in names}
    close = get_close_matches(wanted, folded, n=1, cutoff=0.7)
    return f"; did you mean {folded[close[0]]!r}?" if close else ""


@dataclass(frozen=True)
class Verdict:
    """What a frame holds.

    Attributes:
        accepted: Contract columns in their types, and `row_number`.
        rejected: `row_number`, all `reasons` of the row, and the row as it stood in `payload`.
        reasons: How many rows fail each check.
    """

    accepted: pl.DataFrame
    rejected: pl.DataFrame
    reasons: dict[str, int]


def validate(frame: pl.DataFrame, table: Table, day: date | None = None) -> Verdict:
    """Convert a frame to the contract's types; split it into rows that hold and rows that do not.

    Args:
        frame: Rows as a file holds them, with `row_number`; `column_faults` has found nothing.
        table: The contract.
        day: Arrival day; a missing `arrived_at` is then the later of `event_at` and its midnight.
    """
    typed = frame.with_columns(
        _clean(column, frame.schema[column.name])
        for column in table.all_columns
        if column.name in frame.columns
    )
    converted = typed.with_columns(
        _converted(column.kind, pl.col(column.name), typed.schema[column.name]).alias(
            CONVERTED + column.name
        )
        if column.name in frame.columns
        else pl.lit(None, dtype(column.kind)).alias(CONVERTED + column.name)
        for column in table.all_columns
    )
    if ARRIVED_AT.name not in frame.columns and day is not None:
        event_at = pl.col(CONVERTED + EVENT_AT.name)
        converted = converted.with_columns(
            pl.max_horizontal(event_at, pl.lit(_midnight(day)).cast(dtype("timestamp"))).alias(
                CONVERTED + ARRIVED_AT.name
            )
        )
    checks = _checks(table, set(frame.columns), day)
    is_bad = converted.select(
        pl.any_horizontal(check.fails for check in checks).fill_null(False)
    ).to_series()
    chosen = [pl.col(CONVERTED + name).alias(name) for name in table.names]
    if not is_bad.any():
        return Verdict(converted.select("row_number", *chosen), _no_rejects(), {})
    bad = converted.filter(is_bad)
    stood = frame.filter(is_bad).drop("row_number")
    said = [pl.when(check.fails).then(check.message) for check in checks]
    rejected = bad.select(
        "row_number",
        pl.concat_list(said).list.drop_nulls().alias("reasons"),
        stood.to_struct("payload").struct.json_encode(),
    )
    counted = bad.select(check.fails.fill_null(False).sum().alias(check.label) for check in checks)
    reasons = {label: count for label, count in counted.row(0, named=True).items() if count}
    return Verdict(converted.filter(~is_bad).select("row_number", *chosen), rejected, reasons)


CONVERTED = "converted:"


@dataclass(frozen=True, slots=True)
class _Check:
    """One thing that can be wrong with a row; `label` holds no value, so that it may be logged."""

    label: str
    fails: pl.Expr
    message: pl.Expr


def _checks(table: Table, present: set[str], day: date | None) -> list[_Check]:
    checks = [
        check for column in table.all_columns for check in _column_checks(table, column, present)
    ]
    return checks + _time_checks(day)


def _column_checks(table: Table, column: Column, present: set[str]) -> list[_Check]:
    name, value = column.name, pl.col(CONVERTED + column.name)
    checks = []

    def check(fails: pl.Expr, said: str, shown: pl.Expr | None = None) -> None:
        checks.append(_Check(f"{name}: {said}", fails, _message(column, said, shown)))

    if name in present:
        raw = pl.col(name)
        check(raw.is_not_null() & value.is_null(), f"is not {READABLE[column.kind]}", raw)
    if _required(table, column):
        missing = pl.col(name).is_null() if name in present else value.is_null()
        check(missing, "is empty but required")
    if column.minimum is not None:
        check(value < column.minimum, f"is below the minimum {column.minimum:.15g}", value)
    if column.maximum is not None:
        check(value > column.maximum, f"is above the maximum {column.maximum:.15g}", value)
    if column.allowed:
        check(
            ~value.is_in(list(column.allowed)), f"is not one of {', '.join(column.allowed)}", value
        )
    elif column.kind == "string":
        check(
            value.str.len_chars() > column.max_length,
            f"is longer than {column.max_length} characters",
            value,
        )
    return checks


def _time_checks(day: date | None) -> list[_Check]:
    event_at, arrived_at = pl.col(CONVERTED + EVENT_AT.name), pl.col(CONVERTED + ARRIVED_AT.name)
    found = [
        (
            EVENT_AT,
            event_at < EARLIEST,
            f"is before {EARLIEST:%Y-%m-%d}: a clock that was not set",
            event_at,
        ),
        (
            EVENT_AT,
            event_at > arrived_at + CLOCK_SKEW,
            "is more than a day after arrived_at",
            event_at,
        ),
    ]
    if day is not None:
        start = _midnight(day)
        outside = (arrived_at < start) | (arrived_at >= start + timedelta(days=1))
        found.append((ARRIVED_AT, outside, f"is outside of the folder's day {day}", arrived_at))
    return [
        _Check(f"{column.name}: {said}", fails, _message(column, said, shown))
        for column, fails, said, shown in found
    ]


def _message(column: Column, said: str, shown: pl.Expr | None) -> pl.Expr:
    if shown is None or column.personal:
        return pl.lit(f"{column.name}: {said}")
    text = shown.cast(pl.String).str.slice(0, SHOWN)
    quote = "" if column.kind in ("integer", "number", "timestamp") or 0 else "'"
    return pl.format(
        "{}: {}{}{} {}", pl.lit(column.name), pl.lit(quote), text, pl.lit(quote), pl.lit(said)
    )


def _required(table: Table, column: Column) -> bool:
    return not column.nullable or column.name in table.key


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _no_rejects() -> pl.DataFrame:
    return pl.DataFrame(
        schema={"row_number": pl.Int64, "reasons": pl.List(pl.String), "payload": pl.String}
    )


def _convertible(kind: Kind, source: pl.DataType) -> bool:
    text = source in (pl.String, pl.Categorical, pl.Enum)
    if text or source == pl.Null:
        return True
    return {
        "string": source.is_integer(),
        "integer": source.is_numeric(),
        "number": source.is_numeric(),
        "boolean": source == pl.Boolean or source.is_integer(),
        # Whole numbers are refused: seconds, milliseconds and nanoseconds look alike.
        "timestamp": source in (pl.Datetime, pl.Date),
    }[kind]


def _clean(column: Column, source: pl.DataType) -> pl.Expr:
    """The column as it stands, with empty text and NaN as null."""
    value = pl.col(column.name)
    if source in (pl.Categorical, pl.Enum):
        value = value.cast(pl.String)
    if source in (pl.String, pl.Categorical, pl.Enum):
        return pl.when(value.str.len_bytes() > 0).then(value)
    return value.fill_nan(None) if source.is_float() else value


def _converted(kind: Kind, value: pl.Expr, source: pl.DataType) -> pl.Expr:
    """The cleaned column in the kind's type; null where it cannot be read as such."""
    if source == dtype(kind):
        return pl.when(value.is_finite()).then(value) if kind == "number" else value
    if kind == "timestamp":
        return _as_timestamp(value, source)
    if source == pl.String:
        value = value.str.strip_chars()
    if kind == "number":
        number = value.cast(pl.Float64, strict=False)
        return pl.when(number.is_finite()).then(number)
    if kind == "integer":
        whole = value.cast(pl.Float64, strict=False)
        exact = pl.when(whole == whole.floor()).then(whole).cast(pl.Int64, strict=False)
        return (
            exact if source.is_float() else pl.coalesce(value.cast(pl.Int64, strict=False), exact)
        )
    if kind == "boolean":
        text = value.cast(pl.String).str.to_lowercase()
        return (
            pl.when(text.is_in(["true", "1"]))
            .then(True)
            .when(text.is_in(["false", "0"]))
            .then(False)
        )
    return value.cast(pl.String)


def _as_timestamp(value: pl.Expr, source: pl.DataType) -> pl.Expr:
    target = dtype("timestamp")
    if isinstance(source, pl.Datetime):
        return (
            value.cast(target)
            if source.time_zone
            else value.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        )
    if source != pl.String:
        return value.cast(pl.Datetime("us"), strict=False).dt.replace_time_zone("UTC")
    # One format for all: chrono wants seconds and an offset, ISO 8601 lets both be left out.
    text = value.str.strip_chars().str.replace(r"^(\d{4}-\d\d-\d\d)[Tt]", "$1 ")
    text = text.str.replace(r"^(\d{4}-\d\d-\d\d)$", "$1 00:00:00")
    text = text.str.replace(r"^(\S+ \d\d:\d\d)($|[Zz+-])", "$1:00$2")
    text = text.str.replace(r" ?[Zz]$", "+00:00").str.replace(
        r"^(\S+ \d\d:\d\d:\d\d(?:\.\d+)?)$", "$1+00:00"
    )
    text = text.str.replace(r"([+-]\d\d)$", "$1:00")
    return text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%:z", time_unit="us", strict=False).cast(
        target
    )
