"""Features now: a feature table published to the online store, and read for requests.

`read_online` gives the columns that `point_in_time` gives, so a pipeline cannot tell them apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl

from agora.point_in_time import PLACE, feature_files
from agora.stores.lake import quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    import numpy as np

    from agora.features import Entity, FeatureSet
    from agora.stores.lake import Lake
    from agora.stores.online import OnlineStore


def read_online(
    store: OnlineStore,
    feature_sets: Sequence[FeatureSet],
    ids_by_entity: Mapping[Entity, Sequence[str | None]],
) -> dict[str, np.ndarray[Any, Any]]:
    """Features of n requests as `agora.pipeline.Columns`, in one round trip.

    Args:
        store: Where they were published.
        feature_sets: What to read.
        ids_by_entity: Per entity the n ids; None where a request has none.

    Returns:
        Per set its `columns` and its `time_column`. The arrays may be read-only.
    """
    rows = store.read([(each, ids_by_entity[each.entity]) for each in feature_sets])
    columns: dict[str, np.ndarray[Any, Any]] = {}
    for feature_set, found in zip(feature_sets, rows, strict=True):
        columns.update(zip(feature_set.columns, found.values.T, strict=True))
        columns[feature_set.time_column] = found.feature_at
    return columns


def publish(
    lake: Lake,
    store: OnlineStore,
    feature_set: FeatureSet,
    start: date | None = None,
    end: date | None = None,
) -> int:
    """Write the newest row of each entity from the feature table to the online store.

    Days may be published in any order and more than once: the store keeps the newest row.

    Args:
        lake: Where the feature table is.
        store: Where to.
        feature_set: What to publish.
        start: First `feature_date` to look at; all earlier ones when None.
        end: First `feature_date` not to look at; all later ones when None.

    Returns:
        Rows that were newer than what the store held.

    Raises:
        LookupError: The feature table has not been built.
    """
    files = feature_files(lake, feature_set, start, end)
    if not files:
        return 0
    key = f"{quote(feature_set.entity.key)}::VARCHAR"
    values = ", ".join(f"coalesce({quote(name)}::DOUBLE, 'NaN')" for name in feature_set.names)
    # Found by its place first: sorting or holding whole rows would cost twice as much.
    newest = (
        f"select arg_max({PLACE}, (feature_at, arrived_at)) as place "
        f"from {files} where {key} is not null group by {key}"
    )
    rows = (
        f"select {key}, epoch_us(feature_at::TIMESTAMPTZ), epoch_us(arrived_at::TIMESTAMPTZ), "
        f"{values} from (select *, {PLACE} as place from {files}) "
        f"semi join ({newest}) using (place)"
    )
    with duckdb.connect(":memory:") as connection:
        connection.execute("set TimeZone='UTC'")
        lake.attach(connection)
        frame = pl.DataFrame(connection.sql(rows).to_arrow_table())
    ids, feature_at, arrived_at = (frame.to_series(column) for column in range(3))
    return store.write(
        feature_set,
        ids.to_list(),
        feature_at.to_numpy(),
        arrived_at.to_numpy(),
        frame[:, 3:].to_numpy(),
    )
