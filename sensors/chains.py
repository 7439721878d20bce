"""From landed rows to an index: whether what stands later was made of what stands before it."""

from collections.abc import Iterable
from dataclasses import dataclass

from dagster import AssetKey, DagsterInstance


@dataclass(frozen=True, slots=True)
class Made:
    """The newest materialization of an asset.

    Attributes:
        storage_id: Counts up over all events.
        run_id: Run that made it.
        at: When, in epoch seconds.
        began_at: When that run began.
    """

    storage_id: int
    run_id: str
    at: float
    began_at: float

    def has_seen(self, earlier: "Made") -> bool:
        """Whether this was made after the other, by a run that began after it or made both."""
        return self.run_id == earlier.run_id or earlier.at <= self.began_at


@dataclass(frozen=True, slots=True)
class Chain:
    """What an index is made of, as it was last made.

    Attributes:
        landed: Raw tables.
        tables: Lake tables of the catalogue.
        index: The index.
    """

    landed: tuple[Made, ...]
    tables: tuple[Made, ...]
    index: Made | None

    @classmethod
    def of(
        cls,
        instance: DagsterInstance,
        landed: Iterable[AssetKey],
        tables: Iterable[AssetKey],
        index: AssetKey,
    ) -> "Chain":
        """Read it from Dagster's events; what was never made is left out."""
        read = [[newest(instance, key) for key in sorted(keys)] for keys in (landed, tables)]
        first, second = (tuple(made for made in found if made) for found in read)
        return cls(first, second, newest(instance, index))

    @property
    def tables_are_behind(self) -> bool:
        """Whether a raw table landed anew since the catalogue's tables were made."""
        return any(not table.has_seen(raw) for table in self.tables for raw in self.landed)

    @property
    def is_behind(self) -> bool:
        """Whether the index was made of an earlier catalogue; not before there is a first one."""
        if self.index is None or not self.tables:
            return False
        return self.tables_are_behind or any(
            not self.index.has_seen(table) for table in self.tables
        )

    @property
    def identity(self) -> str:
        """Changes with what there is to be seen."""
        return " ".join(str(made.storage_id) for made in (*self.landed, *self.tables))


def newest(instance: DagsterInstance, key: AssetKey) -> Made | None:
    """The newest materialization of an asset; None before the first."""
    found = instance.fetch_materializations(key, limit=1).records
    if not found:
        return None
    record = found[0]
    run = instance.get_run_record_by_id(record.run_id) if record.run_id else None
    began_at = run.start_time if run and run.start_time else record.timestamp
    return Made(record.storage_id, record.run_id, record.timestamp, began_at)
