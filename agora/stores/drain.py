"""Moves the prediction log into the lake, each record exactly once.

Records and the offsets they were read up to go into one Delta commit, so a kill between loses and
doubles nothing. One row per prediction; `prediction_schema` is the table's.
"""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from agora.schema import TIME
from agora.stores.predictions import SUFFIX, Prediction, read_segment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agora.stores.lake import Lake

SCHEMA: dict[str, pl.DataType] = {
    "prediction_id": pl.String(),
    "system": pl.String(),
    "model_version": pl.String(),
    "request_id": pl.String(),
    "entity_ids": pl.List(pl.Struct({"entity": pl.String, "id": pl.String})),
    "request": pl.String(),
    "features": pl.List(
        pl.Struct(
            {
                "feature_set": pl.String,
                "feature_at": TIME,
                "values": pl.List(pl.Float64),
                "arrived_at": TIME,
            }
        )
    ),
    "score": pl.Float64(),
    "output": pl.String(),
    "decision": pl.String(),
    "latencies": pl.List(pl.Struct({"stage": pl.String, "nanoseconds": pl.Int64})),
    "degraded": pl.Boolean(),
    "event_at": TIME,
    "predicted_at": TIME,
    "experiment": pl.String(),
    "arm": pl.String(),
    "propensity": pl.Float64(),
    "tier": pl.String(),
    "fallbacks": pl.List(pl.String),
    "caller": pl.String(),
    "prediction_date": pl.Date(),
}
"""Columns of `predictions/<system>`; `prediction_date` is its partition."""
# Bounds the memory of one commit: about 300 MB.
BATCH_BYTES = 16 * 1024 * 1024
PARTITION = "prediction_date"


def drain(folder: Path, lake: Lake) -> int:
    """Append what the segments in `folder` hold beyond the last drain; returns the rows added.

    The folder's name is the system's; the table is `predictions/<system>`. Finished segments are
    removed once their records are committed. A torn record at the end of a segment stays for the
    next drain; if its writer is gone it never was acknowledged, and the segment is set aside as
    `.torn`.
    """
    if not folder.is_dir():
        return 0
    table = f"predictions/{folder.name}"
    with _only_drain(folder):
        _create(lake, table)
        added = 0
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            # Whether the writer is gone is asked first: what it wrote is then all there.
            finished = _is_finished(path)
            offset = lake.table(table).transaction_version(path.stem) or 0
            while payloads := list(read_segment(path, offset, BATCH_BYTES)):
                records = [payload for payload, _ in payloads]
                offset = payloads[-1][1]
                _commit(lake, table, path.stem, offset, rows(records))
                added += len(records)
            if finished:
                _retire(path, offset)
        return added


def rows(payloads: list[bytes]) -> pl.DataFrame:
    """Encoded records as rows of the table."""
    decoder = msgspec.msgpack.Decoder(Prediction)
    integers = {"event_at": pl.Int64(), "predicted_at": pl.Int64()}
    frame = pl.DataFrame(
        [_row(decoder.decode(payload)) for payload in payloads], schema={**SCHEMA, **integers}
    )
    return frame.with_columns(
        pl.col("event_at", "predicted_at").cast(TIME),
        pl.col("predicted_at").cast(TIME).dt.date().alias(PARTITION),
    )


def _row(record: Prediction) -> dict[str, Any]:
    return {
        **msgspec.structs.asdict(record),
        "entity_ids": [{"entity": name, "id": key} for name, key in record.entity_ids.items()],
        "features": [
            {
                "feature_set": used.feature_set,
                "feature_at": used.feature_at,
                "values": np.frombuffer(used.values, "<f8").tolist(),
                "arrived_at": used.arrived_at,
            }
            for used in record.features
        ],
        "latencies": [
            {"stage": stage, "nanoseconds": spent} for stage, spent in record.latencies.items()
        ],
    }


def _create(lake: Lake, table: str) -> None:
    DeltaTable.create(
        lake.uri(table),
        pa.schema(pl.DataFrame(schema=SCHEMA).to_arrow().schema),
        mode="ignore",
        partition_by=[PARTITION],
        storage_options=lake.options,
    )


def _commit(lake: Lake, table: str, segment: str, offset: int, frame: pl.DataFrame) -> None:
    write_deltalake(
        lake.uri(table),
        frame.to_arrow(),
        mode="append",
        # A table of an earlier version gets the columns that it lacks.
        schema_mode="merge",
        storage_options=lake.options,
        commit_properties=CommitProperties(
            custom_metadata={"segment": segment, "offset": str(offset)},
            app_transactions=[Transaction(segment, offset)],
        ),
    )


@contextmanager
def _only_drain(folder: Path) -> Iterator[None]:
    """Let one drain of a folder work at a time; another waits for it."""
    with (folder / ".drain").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def _is_finished(path: Path) -> bool:
    """Whether no process holds the segment any more; the kernel drops a dead writer's lock."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _retire(path: Path, offset: int) -> None:
    if path.stat().st_size == offset:
        path.unlink()
    else:
        path.rename(path.with_suffix(".torn"))
