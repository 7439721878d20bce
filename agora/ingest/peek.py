"""Rows that have landed, before a run has taken them: for what cannot wait for one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from agora.schema import schema_of
from agora.stores.landed_rows import UnreadableFileError, read_slices
from agora.stores.landing import Landing
from agora.validation import column_faults, validate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from agora.schema import Table
    from agora.stores.landing import LandedFile


def landed_rows(landing: str, table: Table, since: date) -> pl.DataFrame:
    """Rows of the days from `since` on that hold the contract; the ingestion judges the others.

    Args:
        landing: Root of the landing folders.
        table: The contract.
        since: First arrival day.
    """
    place = Landing.at(landing)
    parts = [
        rows
        for day in place.days(table.name)
        if day >= since
        for file in place.files(table.name, day)
        for rows in _rows(place, file, table, day)
    ]
    return pl.concat([pl.DataFrame(schema=schema_of(table)), *parts])


def _rows(place: Landing, file: LandedFile, table: Table, day: date) -> Iterator[pl.DataFrame]:
    names = list(schema_of(table))
    try:
        for part in read_slices(partial(place.open, file), file.path):
            if column_faults(table, part.rows.schema):
                return
            yield validate(part.rows, table, day).accepted.select(names)
    except (UnreadableFileError, OSError):
        return
