"""What a source is: a public format that can be landed as rows of our contracts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date
    from pathlib import Path


class SourceError(ValueError):
    """The data is not what the source expects; the text says what is missing."""


@dataclass(frozen=True)
class Summary:
    """What was landed.

    Attributes:
        source: Name of the source.
        rows: Rows per table, landed now or before.
        files: New files; none when the same data was landed before.
        start: First arrival day.
        end: Day after the last arrival day.
    """

    source: str
    rows: dict[str, int]
    files: int
    start: date
    end: date

    def __str__(self) -> str:
        tables = ", ".join(f"{count:,} {table}" for table, count in self.rows.items())
        new = f"{self.files:,} new files" if self.files else "nothing new"
        return (
            f"{self.source}: {tables}; arrival days {self.start} to {self.end} (exclusive); {new}"
        )


@dataclass(frozen=True)
class Source:
    """A public format.

    Attributes:
        name: As typed after `agora ingest`.
        description: What the data is, in a sentence.
        land: Lands the data at a path; raises `SourceError` if it does not fit.
    """

    name: str
    description: str
    land: Callable[[Path, Path], Summary]
