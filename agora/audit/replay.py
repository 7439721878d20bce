"""Logged predictions as rows again: their requests, the features that they used, the offline rows.

The log names each feature row by entity, `feature_at` and `arrived_at`; the feature table holds the
same row under the same name, for as long as it is kept.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import duckdb
import numpy as np
import polars as pl

from agora.adjustments import Adjusted, AdjustmentsError, parted
from agora.candidates import KEPT, POPULAR
from agora.cascade import infer
from agora.pipeline import columns_of, is_of_items, retrieved
from agora.point_in_time import feature_files
from agora.schema import TIME
from agora.serving.requests import Requests
from agora.stores import indexes
from agora.stores.adjustments import read
from agora.stores.lake import quote

if TYPE_CHECKING:
    from datetime import datetime

    from agora.cascade import Inferred
    from agora.features import FeatureSet
    from agora.pipeline import Columns, Pipeline
    from agora.settings import Settings
    from agora.stores.lake import Lake
    from agora.stores.models import ModelRegistry
    from agora.system import System

ROW = "row"
DUCKDB_TYPES: dict[str, pl.DataType] = {
    "VARCHAR": pl.String(), "TIMESTAMPTZ": TIME, "DOUBLE": pl.Float64(), "BIGINT": pl.Int64(),
    "BOOLEAN": pl.Boolean(),
}  # fmt: skip

Load: TypeAlias = Callable[[str], "Pipeline"]
"""A version's pipeline; raises LookupError or PipelineError when it cannot be had."""


def loader(models: ModelRegistry, system: System, settings: Settings) -> Load:
    """Loads each version once, with the adjustments or the index that its name says.

    Version `3+a2` has adjustments, `3+i5` an index. An index that is no longer kept raises
    `IndexGoneError`.

    Args:
        models: Where the models are.
        system: Whose.
        settings: Where adjustments and indexes are.
    """

    @lru_cache
    def load(version: str) -> Pipeline:
        model, number = parted(version)
        pipeline = models.load(system, model)
        index = indexes.indexed(model)[1]
        if index is not None and is_of_items(pipeline):
            return indexes.load(pipeline, settings.indexes, system.name, index)
        if number is None:
            return pipeline
        try:
            found = read(settings.adjustments, system.name, number)
        except AdjustmentsError as error:
            raise LookupError(str(error)) from error
        columns = {entity.name: column for entity, column in system.entities.items()}
        return cast("Pipeline", Adjusted(pipeline, found, columns))

    return load


def newest(lake: Lake, system: str, limit: int) -> pl.DataFrame:
    """The newest live predictions, newest first; none before the first drain."""
    table = f"predictions/{system}"
    if not lake.exists(table):
        return pl.DataFrame()
    return lake.query(
        f"select * from predictions.{quote(system)} order by predicted_at desc, prediction_id "
        f"limit {int(limit)}"
    )


def requests_of(system: System, rows: pl.DataFrame) -> pl.DataFrame:
    """The logged requests as batch rows: request columns and `event_at`, in order."""
    dtypes = Requests(system).dtypes
    shape = json.dumps({name: _shape(dtype) for name, dtype in dtypes.items()})
    with duckdb.connect(":memory:") as connection:
        connection.execute("set TimeZone='UTC'")
        connection.register("logged", rows.select("request").with_row_index(ROW).to_arrow())
        parsed = connection.sql(
            f"select unnest(json_transform(request, $shape)) from logged order by {ROW}",
            params={"shape": shape},
        ).to_arrow_table()
    columns = pl.DataFrame(parsed)
    return columns.select(
        pl.col(name).cast(dtype) for name, dtype in dtypes.items() if name != "event_at"
    ).with_columns(rows["event_at"].cast(TIME))


def _shape(dtype: pl.DataType) -> Any:
    """A type as DuckDB's `json_transform` names it."""
    if isinstance(dtype, pl.List):
        return [_shape(cast("pl.DataType", dtype.inner))]
    if isinstance(dtype, pl.Struct):
        return {field.name: _shape(cast("pl.DataType", field.dtype)) for field in dtype.fields}
    return next(name for name, known in DUCKDB_TYPES.items() if known == dtype)


def used(rows: pl.DataFrame, feature_set: FeatureSet) -> pl.DataFrame:
    """A set as the predictions used it: `feature_at`, `arrived_at`, then its columns; in order.

    All null where a prediction did not use the set.
    """
    entries = (
        rows.select("features")
        .with_row_index(ROW)
        .explode("features")
        .unnest("features")
        .filter(pl.col("feature_set") == feature_set.id)
    )
    width = len(feature_set.columns)
    values = np.array(entries["values"].explode().to_numpy(), np.float64).reshape(-1, width)
    found = pl.DataFrame(values, schema=list(feature_set.columns)).with_columns(
        entries[ROW], *(entries[name].cast(TIME) for name in ("feature_at", "arrived_at"))
    )
    order = pl.DataFrame({ROW: range(len(rows))}, schema={ROW: found.schema[ROW]})
    return order.join(found, on=ROW, how="left", maintain_order="left").select(
        "feature_at", "arrived_at", *feature_set.columns
    )


def offline(
    lake: Lake, feature_set: FeatureSet, ids: pl.Series, named: pl.DataFrame
) -> pl.DataFrame:
    """The feature table's rows of the same names, in order; `is_known` says which exist.

    Args:
        lake: Where the feature table is.
        feature_set: Which.
        ids: Entity ids.
        named: `feature_at` and `arrived_at` of each; a null time names no row.
    """
    keys = pl.DataFrame({"id": ids, **named.select("feature_at", "arrived_at").to_dict()})
    first = cast("datetime | None", keys["arrived_at"].min())
    last = cast("datetime | None", keys["arrived_at"].max())
    schema = {name: pl.Float64 for name in feature_set.columns}
    nothing = pl.DataFrame(schema={**schema, ROW: pl.UInt32})
    files = ""
    if first and last:
        # A row is filed under the day on which it arrived, or under the day that it closes.
        day = timedelta(days=1)
        files = feature_files(lake, feature_set, first.date() - day, last.date() + day)
    found = nothing
    if files:
        values = ", ".join(
            f"coalesce({quote(name)}::DOUBLE, 'NaN') as {quote(column)}"
            for name, column in zip(feature_set.names, feature_set.columns, strict=True)
        )
        with duckdb.connect(":memory:") as connection:
            connection.execute("set TimeZone='UTC'")
            lake.attach(connection)
            connection.register("named", keys.with_row_index(ROW).to_arrow())
            rows = connection.sql(
                f"select {ROW}, {values} from named join {files} as held "
                f"on held.{quote(feature_set.entity.key)}::VARCHAR = named.id "
                "and held.feature_at::TIMESTAMPTZ = named.feature_at "
                "and held.arrived_at::TIMESTAMPTZ = named.arrived_at"
            ).to_arrow_table()
        # A row of the last day built may stand in the batch's table and in the stream's.
        found = pl.DataFrame(rows).cast({ROW: pl.UInt32}).unique(ROW)
    order = pl.DataFrame({ROW: range(len(keys))}, schema={ROW: pl.UInt32})
    return order.join(
        found.with_columns(is_known=True), on=ROW, how="left", maintain_order="left"
    ).with_columns(pl.col("is_known").fill_null(value=False))


def recompute(
    pipeline: Pipeline, frame: pl.DataFrame, skipped: Sequence[str] = (), rung: str = ""
) -> np.ndarray[Any, Any]:
    """Scores of request and feature rows, without what had not answered.

    Args:
        pipeline: The version that answered.
        frame: Requests with features.
        skipped: Strategies and tiers that had not answered.
        rung: What answered instead of the pipeline's own list, if that did not.
    """
    return rescore(pipeline, columns_of(frame), skipped, rung)


def rescore(
    pipeline: Pipeline, columns: Columns, skipped: Sequence[str] = (), rung: str = ""
) -> np.ndarray[Any, Any]:
    """The same for rows that are columns already."""
    if is_of_items(pipeline):
        return np.array(_decided(pipeline, columns, skipped, rung)[1]["score"], np.float64)
    return infer(pipeline.tiers, pipeline.decode(columns), skipped).scores


def decide_again(
    pipeline: Pipeline, frame: pl.DataFrame, skipped: Sequence[str] = (), rung: str = ""
) -> tuple[np.ndarray[Any, Any], dict[str, list[Any]]]:
    """Scores as `recompute` gives them, and the decisions made of them."""
    inferred, decided = _decided(pipeline, columns_of(frame), skipped, rung)
    if inferred is None or is_of_items(pipeline):
        return np.array(decided["score"], np.float64), decided
    return inferred.scores, decided


def _decided(
    pipeline: Pipeline, columns: Columns, skipped: Sequence[str], rung: str
) -> tuple[Inferred | None, dict[str, list[Any]]]:
    if rung == KEPT:
        raise LookupError("a list that was made in batch answered: trace that prediction")
    if rung == POPULAR and is_of_items(pipeline):
        return None, pipeline.popular(columns)
    columns = retrieved(pipeline, columns, skipped)
    matrix = pipeline.decode(columns)
    inferred = infer(pipeline.tiers, matrix, skipped)
    return inferred, pipeline.decide(inferred, matrix, columns)


def joined(
    system: System, requests: pl.DataFrame, features: dict[str, pl.DataFrame]
) -> pl.DataFrame:
    """Requests beside features by set id, as the pipeline gets them."""
    parts = [
        features[each.id].select(
            *(pl.col(c).fill_null(d) for c, d in zip(each.columns, each.defaults, strict=True)),
            pl.col("feature_at").alias(each.time_column),
        )
        for each in system.feature_sets
    ]
    return pl.concat([requests, *parts], how="horizontal")


def differ(left: pl.Series, right: pl.Series, tolerance: float = 0.0) -> pl.Series:
    """Where two columns of numbers differ; two unknown values are equal."""
    a, b = (each.fill_null(math.nan).to_numpy() for each in (left, right))
    return pl.Series(~np.isclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True))
