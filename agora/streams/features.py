"""The touched entities' rows, by the batch's SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl

if TYPE_CHECKING:
    from agora.streams.memory import Memory
    from agora.streams.models import Model


class Computer:
    """Runs the models over what is known of the entities that a batch touches.

    Args:
        models: What to compute, in order.
        memory: What was taken so far.
    """

    def __init__(self, models: list[Model], memory: Memory) -> None:
        self._models = models
        self._memory = memory
        self._connection = duckdb.connect(":memory:", config={"threads": 2})
        self._connection.execute("set TimeZone='UTC'; set python_enable_replacements=false")

    def compute(self, rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Feature rows of a batch, by set: one per entity and arrival.

        Args:
            rows: The batch, not empty, which the memory has taken.
        """
        known = self._memory.versions(rows)
        first, last = rows["arrived_at"].min(), rows["arrived_at"].max()
        found: dict[str, pl.DataFrame] = {}
        for model in self._models:
            payments = self._payments(model, known, first)
            found[model.feature_set.name] = self._run(
                model, payments, found.get(model.moments), first, last
            )
        return found

    def _payments(self, model: Model, known: pl.DataFrame, first: Any) -> pl.DataFrame:
        """Every payment that the model can look at in this batch, and perhaps more."""
        key = model.feature_set.entity.key
        concerned = known.filter(pl.col(key).is_not_null())
        earliest = concerned.group_by(key).agg(pl.col("event_at").min().to_physical())
        if model.longest is None:
            return self._memory.newest(key, earliest[key], first)
        return self._memory.about(key, earliest, model.longest)

    def _run(
        self,
        model: Model,
        payments: pl.DataFrame,
        moments: pl.DataFrame | None,
        first: Any,
        last: Any,
    ) -> pl.DataFrame:
        day = "arrived_at::date" if model.moments else "arrived_at"
        self._connection.register("held", payments.to_arrow())
        self._connection.execute(
            f"create or replace temp view payments as select *, {day} as arrival_date from held"
        )
        if moments is not None:
            self._connection.register("moments", moments.to_arrow())
        table = self._connection.sql(model.windowed(first, last)).to_arrow_table()
        return pl.DataFrame(table)
