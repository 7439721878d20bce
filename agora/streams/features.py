"""The touched entities' rows, by the batch's SQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl

if TYPE_CHECKING:
    from agora.streams.memory import Memory
    from agora.streams.models import Model


class Computer:
    """Runs the models over what is known of the entities that a batch touches.

    A query over few rows costs its planning, on one thread: models that do not stand on each other
    run beside each other.

    Args:
        models: What to compute; a model comes after the one on whose rows it stands.
        memory: What was taken so far.
    """

    def __init__(self, models: list[Model], memory: Memory) -> None:
        self._models = models
        self._memory = memory
        self._pool = ThreadPoolExecutor(2)
        chains: dict[str, list[Model]] = {}
        for model in models:
            chains.setdefault(model.moments or model.feature_set.name, []).append(model)
        # The longest chain first: it decides when the batch is done.
        self._chains = [
            (duckdb.connect(":memory:", config={"threads": 1}), chain)
            for chain in sorted(chains.values(), key=len, reverse=True)
        ]
        for connection, _ in self._chains:
            connection.execute("set TimeZone='UTC'; set python_enable_replacements=false")

    def compute(self, rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Feature rows of a batch, by set: one per entity and arrival.

        Args:
            rows: The batch, not empty, which the memory has taken.
        """
        known = self._memory.versions(rows)
        first, last = rows["arrived_at"].min(), rows["arrived_at"].max()
        looked_at = [self._events(model, known, first) for model in self._models]
        read = dict(zip((model.feature_set.name for model in self._models), looked_at, strict=True))
        found: dict[str, pl.DataFrame] = {}
        for part in self._pool.map(
            lambda chain: _run(chain[0], chain[1], read, (first, last)), self._chains
        ):
            found.update(part)
        return {model.feature_set.name: found[model.feature_set.name] for model in self._models}

    def close(self) -> None:
        """Give threads and memory back."""
        self._pool.shutdown()
        for connection, _ in self._chains:
            connection.close()

    def _events(self, model: Model, known: pl.DataFrame, first: Any) -> pl.DataFrame:
        """Every event that the model can look at in this batch, and perhaps more."""
        key = model.feature_set.entity.key
        concerned = known.filter(pl.col(key).is_not_null())
        earliest = concerned.group_by(key).agg(pl.col("event_at").min().to_physical())
        if model.window is None:
            return self._memory.newest(key, earliest, first)
        return self._memory.about(key, earliest, model.window)


def _run(
    connection: duckdb.DuckDBPyConnection,
    chain: list[Model],
    events: dict[str, pl.DataFrame],
    window: tuple[Any, Any],
) -> dict[str, pl.DataFrame]:
    """Rows of models that stand on each other's."""
    found: dict[str, pl.DataFrame] = {}
    for model in chain:
        name = model.feature_set.name
        day = "arrived_at::date" if model.moments else "arrived_at"
        connection.register("held", events[name].to_arrow())
        connection.execute(
            f"create or replace temp view {model.source} as "
            f"select *, {day} as arrival_date from held"
        )
        if model.moments:
            connection.execute(f"create or replace temp view moments as from {model.moments}")
        # As a table first: what is read as Arrow is planned twice.
        connection.execute(f"create or replace temp table {name} as {model.windowed(*window)}")
        found[name] = pl.DataFrame(connection.sql(f"from {name}").to_arrow_table())
    return found
