"""Evidently's report of a day against the training set, as a file that a browser opens."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

MOST_ROWS = 5_000
"""Rows of the day, and of the training set, that the report is made of: more cost time only."""
MOST_COLUMNS = 30
"""Columns drawn; a page of hundreds is opened by nobody and takes minutes to make."""


def write_report(
    current: pl.DataFrame, reference: pl.DataFrame, path: Path, first: Sequence[str] = ()
) -> Path:
    """Compare the columns that both have; the file stands on its own.

    Importing Evidently takes seconds: a run that makes several reports imports it once.

    Args:
        current: Rows of the day.
        reference: Rows of the training set.
        path: Where the file goes.
        first: Columns that are drawn before the others, as far as there is room.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        columns = _comparable(current, reference)
        columns = sorted(columns, key=lambda name: (name not in first, columns.index(name)))
        columns = columns[:MOST_COLUMNS]
        texts = [name for name in columns if current[name].dtype == pl.String]
        definition = DataDefinition(
            numerical_columns=[name for name in columns if name not in texts],
            categorical_columns=texts,
        )
        sides = [
            Dataset.from_pandas(_pandas(side.select(columns)), data_definition=definition)
            for side in (current, reference)
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        Report([DataDriftPreset()]).run(*sides).save_html(str(path))
    return path


def _comparable(current: pl.DataFrame, reference: pl.DataFrame) -> list[str]:
    """Columns of which both sides hold a value."""
    return [
        name
        for name in current.columns
        if name in reference.columns and _holds(current[name]) and _holds(reference[name])
    ]


def _holds(values: pl.Series) -> bool:
    known = values.fill_nan(None) if values.dtype.is_float() else values
    return known.null_count() < len(known)


def _pandas(frame: pl.DataFrame) -> pd.DataFrame:
    return frame.head(MOST_ROWS).to_pandas()
