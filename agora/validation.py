"""Holding a file against its contract.

`column_faults` says what is wrong with a whole file; `validate` splits its rows into what holds and
what does not, with every reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING

import polars as pl

from agora.conversion import READABLE, cleaned, converted, convertible
from agora.schema import ARRIVED_AT, EVENT_AT, dtype

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agora.schema import Column, Table

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
CLOCK_SKEW = timedelta(days=1)
SHOWN = 60


def column_faults(table: Table, schema: Mapping[str, pl.DataType]) -> dict[str, str]:
    """Columns of a file that cannot fit, whatever its rows hold: missing, or of a foreign type.

    `arrived_at` may be absent: `validate` then assumes it.
    """
    faults = {}
    spare = unexpected_columns(table, schema)
    for column in table.all_columns:
        if column.name in schema:
            if not convertible(column.kind, schema[column.name]):
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
    wide = _with_converted(frame, table, day)
    checks = _checks(table, set(frame.columns), day)
    is_bad = wide.select(
        pl.any_horizontal(check.fails for check in checks).fill_null(False)
    ).to_series()
    chosen = ["row_number", *(pl.col(CONVERTED + name).alias(name) for name in table.names)]
    if not is_bad.any():
        return Verdict(wide.select(chosen), _no_rejects(), {})
    bad = wide.filter(is_bad)
    said = [pl.when(check.fails).then(check.message) for check in checks]
    stood = frame.filter(is_bad).drop("row_number").to_struct("payload")
    rejected = bad.select(
        "row_number",
        pl.concat_list(said).list.drop_nulls().alias("reasons"),
        stood.struct.json_encode(),
    )
    counts = bad.select(
        check.fails.fill_null(False).sum().alias(check.label) for check in checks
    ).row(0, named=True)
    reasons = {label: count for label, count in counts.items() if count}
    return Verdict(wide.filter(~is_bad).select(chosen), rejected, reasons)


def _with_converted(frame: pl.DataFrame, table: Table, day: date | None) -> pl.DataFrame:
    """The columns as they stand, empty values as null, and beside each its converted self."""
    present = [column for column in table.all_columns if column.name in frame.columns]
    clean = frame.with_columns(
        cleaned(column.name, frame.schema[column.name]) for column in present
    )
    wide = clean.with_columns(
        converted(column.kind, pl.col(column.name), clean.schema[column.name])
        .cast(dtype(column.kind))
        .alias(CONVERTED + column.name)
        if column in present
        else pl.lit(None, dtype(column.kind)).alias(CONVERTED + column.name)
        for column in table.all_columns
    )
    if ARRIVED_AT in present or day is None:
        return wide
    midnight = pl.lit(_midnight(day)).cast(dtype("timestamp"))
    assumed = pl.max_horizontal(pl.col(CONVERTED + EVENT_AT.name), midnight)
    return wide.with_columns(assumed.alias(CONVERTED + ARRIVED_AT.name))


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
