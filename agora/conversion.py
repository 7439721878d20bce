"""Values as files hold them, as the kinds of a contract.

`convertible` is about a column's type, `cleaned` and `converted` are expressions over its values:
what cannot be read becomes null, and `agora.validation` tells it from what was empty.
"""

from __future__ import annotations

import polars as pl

from agora.schema import Kind, dtype

READABLE: dict[Kind, str] = {
    "string": "text", "integer": "a whole number", "number": "a finite number",
    "boolean": "true or false", "timestamp": "an ISO 8601 timestamp (such as 2026-01-31T23:59:59Z)",
}  # fmt: skip


def convertible(kind: Kind, source: pl.DataType) -> bool:
    """Whether values of a Polars type can stand for a kind at all."""
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


def cleaned(name: str, source: pl.DataType) -> pl.Expr:
    """The column as it stands, with empty text and NaN as null."""
    value = pl.col(name)
    if source in (pl.Categorical, pl.Enum):
        value = value.cast(pl.String)
    if source in (pl.String, pl.Categorical, pl.Enum):
        return pl.when(value.str.len_bytes() > 0).then(value)
    return value.fill_nan(None) if source.is_float() else value


def converted(kind: Kind, value: pl.Expr, source: pl.DataType) -> pl.Expr:
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
        # A direct cast is exact beyond 2**53, but would cut 1.5 to 1 unless the source is whole.
        direct = source.is_integer() or source == pl.String
        return pl.coalesce(value.cast(pl.Int64, strict=False), exact) if direct else exact
    if kind == "boolean":
        text = value.cast(pl.String).str.to_lowercase()
        return (
            pl.when(text.is_in(["true", "1"]))
            .then(True)
            .when(text.is_in(["false", "0"]))
            .then(False)
        )
    return value.cast(pl.String)


def timestamp_of(frame: pl.DataFrame, name: str) -> pl.Series:
    """A column of a file as UTC timestamps; null where it cannot be read as one."""
    stood = frame.select(cleaned(name, frame.schema[name]))
    source = stood.schema[name]
    if not convertible("timestamp", source):
        return pl.Series(name, [None] * frame.height, dtype("timestamp"))
    read = converted("timestamp", pl.col(name), source)
    return stood.select(read.cast(dtype("timestamp"))).to_series()


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
