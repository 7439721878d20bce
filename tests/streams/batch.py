"""What the nightly batch makes of the events: the same models, by whole days."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import duckdb
import polars as pl

from agora.streams.models import FIRST, LAST

if TYPE_CHECKING:
    from agora.streams.models import Model


def built_by_day(models: list[Model], events: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Rows of each set, built day by day as dbt does."""
    days = sorted(events["arrived_at"].dt.date().unique())
    with duckdb.connect(":memory:") as connection:
        connection.execute("set TimeZone='UTC'")
        connection.register("landed", events.to_arrow())
        connection.execute(
            f"create table {models[0].source} as "
            "select *, arrived_at::date as arrival_date from landed"
        )
        found: dict[str, pl.DataFrame] = {}
        for model in models:
            if model.moments:
                connection.register("moments", found[model.moments].to_arrow())
            parts = []
            for day in days:
                sql = model.sql.replace(f"date '{FIRST}'", f"date '{day}'").replace(
                    f"date '{LAST}'", f"date '{day + timedelta(days=1)}'"
                )
                parts.append(pl.DataFrame(connection.sql(sql).to_arrow_table()))
            found[model.feature_set.name] = pl.concat(parts)
        return found
