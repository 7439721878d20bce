"""The point-in-time join: what was known of an entity at a time.

For time t, the row with the greatest (feature_at, arrived_at) among those with feature_at < t and
arrived_at < t.

Each set is joined by its keys alone, and only then are the features of the rows that were found
read: the sort of the ASOF join carries three integers instead of every feature, which pays for
looking whether the table is in order.
"""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import TYPE_CHECKING, cast

import duckdb
import numpy as np
import polars as pl
import polars.selectors as cs
import pyarrow as pa

from agora.schema import TIME
from agora.stores.lake import UNREADABLE, file_paths, literal, quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from deltalake import DeltaTable

    from agora.features import Entity, FeatureSet
    from agora.stores.lake import Lake

KNOWN_AT = "known_at"
PARTITION = "feature_date"
# Half of DuckDB's row group: an Arrow table of one chunk would be scanned by one thread.
CHUNK = 61_440
# Where a row lies in the files. `row_number()` would say as much, on one thread.
PLACE = "(file_index::BIGINT << 40) | file_row_number"


def point_in_time(
    lake: Lake,
    spine: pl.DataFrame,
    keys: Mapping[Entity, str],
    feature_sets: Sequence[FeatureSet],
    time_column: str = "event_at",
) -> pl.DataFrame:
    """Join each row of the spine with the features known strictly before its time.

    Args:
        lake: Lake, or a `Snapshot` of it, which then says what was read.
        spine: Rows in any order. A column `known_at`, where not null, is read instead of the time:
            the moment at which a request that is replayed had been answered.
        keys: Entity to the spine's column that holds its ids.
        feature_sets: What to join.
        time_column: Time of the spine's rows, UTC. At a null time nothing is known.

    Returns:
        The spine's rows and columns in order, then per set its `columns` and its `time_column`.
        Where nothing was known: the defaults and a null time. A null feature of a row is NaN.

    Raises:
        ValueError: A column of the spine is missing, of the wrong type or in the way.
        LookupError: A feature table has not been built.
    """
    _check(spine, keys, feature_sets, time_column)
    times = _times(spine, time_column)
    latest = cast("datetime | None", times.max())
    columns = list(dict.fromkeys(keys[feature_set.entity] for feature_set in feature_sets))
    with duckdb.connect(":memory:") as connection:
        connection.execute("set TimeZone='UTC'")
        lake.attach(connection)
        for number, column in enumerate(columns):
            _number_ids(connection, spine[column], times, number)
        joined = [
            _join(connection, lake, each, columns.index(keys[each.entity]), len(spine), latest)
            for each in feature_sets
        ]
    return pl.concat([spine, *joined], how="horizontal")


def feature_files(
    lake: Lake, feature_set: FeatureSet, start: date | None = None, end: date | None = None
) -> str:
    """A `read_parquet` of the set's rows, or nothing when there are none.

    The stream's rows (`stream/<set>`) stand beside the batch's from the last day that was built:
    that day may not have been over. A row that stands in both says the same in both.

    Args:
        lake: Where the tables are.
        feature_set: Whose rows.
        start: First `feature_date`, where a table is partitioned by it.
        end: First `feature_date` left out, where a table is partitioned by it.

    Raises:
        LookupError: The set has neither been built nor streamed.
        RuntimeError: A table uses a reader feature that plain Parquet files do not show.
    """
    streamed = f"stream/{feature_set.name}"
    found = [name for name in (feature_set.table, streamed) if lake.exists(name)]
    if not found:
        raise LookupError(
            f"{feature_set.table} has not been built: run dbt model ftr_{feature_set.name} first"
        )
    files: list[str] = []
    built: date | None = None
    for name in found:
        table = lake.table(name)
        if name == feature_set.table:
            built = _last_day(table)
        else:
            start = max((day for day in (start, built) if day), default=None)
        files += _files(table, name, start, end)
    if not files:
        return ""
    listed = ", ".join(literal(file) for file in files)
    return f"read_parquet([{listed}], union_by_name=true, hive_partitioning=false)"


def _files(table: DeltaTable, name: str, start: date | None, end: date | None) -> list[str]:
    """A table's files of the days [start, end), as DuckDB opens them."""
    unreadable = set(table.protocol().reader_features or []) & UNREADABLE
    if unreadable:
        raise RuntimeError(f"{name}: unsupported reader features {sorted(unreadable)}")
    days = [f"{PARTITION} >= '{start}'"] if start else []
    days += [f"{PARTITION} < '{end}'"] if end else []
    by_day = PARTITION in table.metadata().partition_columns
    kept = table.file_uris(file_pruning_predicate=" AND ".join(days) if by_day and days else None)
    # The same files in the same order, once as Delta names them and once as DuckDB opens them.
    named = dict(zip(table.file_uris(), file_paths(table), strict=True))
    return [named[file] for file in kept]


def _last_day(table: DeltaTable) -> date | None:
    """The last day that a table holds."""
    days = [str(found[PARTITION]) for found in table.partitions() if PARTITION in found]
    return date.fromisoformat(max(days)) if days else None


def _check(
    spine: pl.DataFrame,
    keys: Mapping[Entity, str],
    feature_sets: Sequence[FeatureSet],
    time_column: str,
) -> None:
    for feature_set in feature_sets:
        if feature_set.entity not in keys:
            raise ValueError(f"{feature_set.id}: no column holds ids of {feature_set.entity.name}")
        column = keys[feature_set.entity]
        if spine.schema.get(column) != pl.String:
            raise ValueError(f"{column}: ids must be strings, got {spine.schema.get(column)}")
    for column in (time_column, *({KNOWN_AT} & set(spine.columns))):
        kind = spine.schema.get(column)
        if not isinstance(kind, pl.Datetime) or kind.time_zone is None:
            raise ValueError(f"{column}: times must be UTC timestamps, got {kind}")
    names = [*spine.columns]
    for feature_set in feature_sets:
        names += [*feature_set.columns, feature_set.time_column]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"columns of these names would stand twice: {', '.join(twice)}")


def _times(spine: pl.DataFrame, time_column: str) -> pl.Series:
    times = spine[time_column]
    if KNOWN_AT in spine.columns:
        times = spine.select(pl.coalesce(KNOWN_AT, time_column)).to_series()
    return times.dt.convert_time_zone("UTC").cast(TIME)


def _number_ids(
    connection: duckdb.DuckDBPyConnection, ids: pl.Series, times: pl.Series, number: int
) -> None:
    """Give the spine's ids numbers, which sort faster than strings; ids of no interest get none."""
    encoded = ids.to_arrow().cast(pa.large_string()).dictionary_encode()
    known = pl.DataFrame({"id": pl.Series(encoded.dictionary)}).with_row_index("code")
    rows = pl.DataFrame({"code": pl.Series(encoded.indices), "t": times}).with_row_index("r")
    batches = rows.to_arrow().to_batches(max_chunksize=CHUNK)
    connection.register(f"ids_{number}", known.to_arrow())
    connection.register(f"spine_{number}", pa.Table.from_batches(batches, rows.to_arrow().schema))


def _join(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    feature_set: FeatureSet,
    number: int,
    rows: int,
    latest: datetime | None,
) -> pl.DataFrame:
    """The set's columns for each row of the spine, in order."""
    # A row is filed under the day on which it arrived: later days were not known.
    end = latest.date() + timedelta(days=1) if latest else None
    files = feature_files(lake, feature_set, end=end)
    schema = pl.Schema({name: pl.Float64 for name in feature_set.columns})
    schema[feature_set.time_column] = TIME
    found = pl.DataFrame(schema={"r": pl.UInt32, **schema})
    if files and latest is not None:
        _read_keys(connection, files, feature_set, number, latest)
        if not _in_order(connection):
            _drop_overtaken(connection)
        found = _read_features(connection, files, feature_set, number).cast(schema)
    return _in_spine_order(feature_set, found, rows)


def _read_features(
    connection: duckdb.DuckDBPyConnection, files: str, feature_set: FeatureSet, number: int
) -> pl.DataFrame:
    """The newest row known at each row of the spine that has one; a feature that is null is NaN."""
    connection.execute(
        "create or replace temp table found as select r, place "
        f"from spine_{number} as s asof join history as h on s.code = h.code and s.t > h.known_at"
    )
    values = ", ".join(
        f"{quote(name)}::DOUBLE as {quote(column)}"
        for name, column in zip(feature_set.names, feature_set.columns, strict=True)
    )
    found = connection.sql(
        f"select r, {values}, feature_at::TIMESTAMPTZ as {quote(feature_set.time_column)} "
        f"from (select *, {PLACE} as place from {files}) join found using (place)"
    )
    return pl.DataFrame(found.to_arrow_table()).with_columns(cs.float().fill_null(math.nan))


def _in_spine_order(feature_set: FeatureSet, found: pl.DataFrame, rows: int) -> pl.DataFrame:
    """The rows that were found, each at its place, and the defaults at all others."""
    names = (*feature_set.columns, feature_set.time_column)
    defaults = (*feature_set.defaults, None)
    missing = len(found)
    position = np.full(rows, missing, dtype=np.uint32)
    position[found["r"].to_numpy()] = np.arange(missing, dtype=np.uint32)
    absent = pl.Series(position == missing).arg_true()
    place = pl.Series(np.minimum(position, max(missing - 1, 0)))
    if not missing:
        found = found.clear(1)
    placed = found.select(pl.col(name).gather(place) for name in names)
    return pl.DataFrame(
        column.scatter(absent, default)
        for column, default in zip(placed.get_columns(), defaults, strict=True)
    )


def _read_keys(
    connection: duckdb.DuckDBPyConnection,
    files: str,
    feature_set: FeatureSet,
    number: int,
    latest: datetime,
) -> None:
    """Put into `history` when each row of the spine's entities held, arrived and could be read."""
    connection.execute(
        "create or replace temp table history as "
        "select code, feature_at, arrived_at, greatest(feature_at, arrived_at) as known_at, place "
        f"from (select {quote(feature_set.entity.key)} as id, {PLACE} as place, "
        "feature_at::TIMESTAMPTZ as feature_at, arrived_at::TIMESTAMPTZ as arrived_at "
        f"from {files}) join ids_{number} using (id) where feature_at < $1 and arrived_at < $1",
        [latest],
    )


def _in_order(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether of each entity the row known last is always the newest; then none can be overtaken.

    So it is in tables whose rows hold when they arrive, which is seen without sorting.
    """
    at_once = "select bool_and(feature_at = arrived_at) from history"
    if connection.execute(at_once).fetchall() != [(False,)]:
        return True
    in_order = connection.execute(
        "select bool_and(feature_at >= feature_before and (known_at > known_before "
        "or (feature_at = feature_before and arrived_at = arrived_before))) from ("
        "select feature_at, arrived_at, known_at, lag(feature_at) over known as feature_before, "
        "lag(arrived_at) over known as arrived_before, lag(known_at) over known as known_before "
        "from history window known as (partition by code order by known_at))"
    )
    return in_order.fetchall() != [(False,)]


def _drop_overtaken(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep in `history` the rows that are the newest when they become known, one per moment.

    A row with the same feature_at as the newest, but known later, arrived later: it is newer.
    """
    known = "partition by code order by known_at, feature_at desc, arrived_at desc"
    before = f"{known} rows between unbounded preceding and 1 preceding"
    connection.execute(
        "create or replace temp table history as select code, known_at, place from ("
        f"select *, lag(known_at) over ({known}) as known_before, "
        f"max(feature_at) over ({before}) as newest from history) "
        "where known_before is null or (known_at > known_before and feature_at >= newest)"
    )
