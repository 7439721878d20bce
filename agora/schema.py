"""Contracts of tables: columns, types, keys, ranges, personal data.

A `Table` is what producers and the platform agree on; `agora.validation` holds rows against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

TIME = pl.Datetime("us", "UTC")
"""A time in every table."""

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


def dtype(kind: Kind) -> pl.DataType:
    """The Polars type of a kind."""
    types: dict[Kind, pl.DataType] = {
        "string": pl.String(),
        "integer": pl.Int64(),
        "number": pl.Float64(),
        "boolean": pl.Boolean(),
        "timestamp": TIME,
    }
    return types[kind]


def schema_of(table: Table) -> dict[str, pl.DataType]:
    """Polars types of all columns of a contract."""
    return {column.name: dtype(column.kind) for column in table.all_columns}
