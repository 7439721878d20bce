"""Delta tables of the stream: `stream/<topic>` and `stream/<set>`, kept apart from the batch's.

Nothing but the stream writes them, so that a build of a day in progress takes no row away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from agora.schema import schema_of

if TYPE_CHECKING:
    from agora.features import FeatureSet
    from agora.streams.topics import Topic


def taken_schema(topic: Topic) -> pa.Schema:
    """The contract's columns, the arrival day, the event's position and its key."""
    kinds = {
        **schema_of(topic.table),
        "arrival_date": pl.Date(),
        "position": pl.Int64(),
        "event_key": pl.String(),
    }
    return pl.DataFrame(schema=kinds).to_arrow().schema


def feature_schema(feature_set: FeatureSet) -> pa.Schema:
    """Columns of a set's rows, as dbt writes them."""
    time = pa.timestamp("us", tz="UTC")
    return pa.schema(
        [
            (feature_set.entity.key, pa.string()),
            ("feature_at", time),
            ("arrived_at", time),
            ("feature_date", pa.date32()),
            *((name, pa.float64()) for name in feature_set.names),
        ]
    )
