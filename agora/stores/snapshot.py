"""A lake that stands still: each table keeps the version at which it was first read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from agora.stores.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deltalake import DeltaTable


@dataclass(frozen=True)
class Snapshot(Lake):
    """A lake whose tables are pinned when first read, so that what was read can be named.

    Attributes:
        versions: Delta version by table, of every table that was read through this snapshot.
    """

    versions: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, lake: Lake, versions: Mapping[str, int] | None = None) -> Self:
        """A snapshot of the lake, with some tables at given versions."""
        return cls(lake.root, lake.options, versions=dict(versions or {}))

    def table(self, table: str, version: int | None = None) -> DeltaTable:
        """The Delta table at its pinned version; the first read without a version pins it."""
        if version is not None:
            return super().table(table, version)
        delta = super().table(table, self.versions.get(table))
        self.versions.setdefault(table, delta.version())
        return delta
