"""Files that producers would drop: `<table>/dt=YYYY-MM-DD/part-0.parquet`, by arrival day."""

from __future__ import annotations

import os
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from agora.simulator.params import DAY
from agora.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import polars as pl

    from agora.simulator.params import Params


def land(
    params: Params,
    frames: Mapping[str, pl.DataFrame],
    landing: Path,
    progress: Callable[[date], None] | None,
) -> dict[str, int]:
    """Write what arrives on each day, one day after the other; returns rows written by table.

    What would arrive after the last day is not written: nobody has heard of it yet.
    """
    opens = params.start_at + DAY * np.arange(params.days + 1)
    sorted_frames, edges = {}, {}
    for table, frame in frames.items():
        ordered = frame.select(TABLES[table].names).sort("arrived_at", maintain_order=True)
        sorted_frames[table] = ordered
        edges[table] = np.searchsorted(ordered["arrived_at"].to_physical().to_numpy(), opens)
    for number in range(params.days):
        day = params.start + timedelta(days=number)
        for table, frame in sorted_frames.items():
            start, end = int(edges[table][number]), int(edges[table][number + 1])
            if end > start:
                path = landing / table / f"dt={day}" / "part-0.parquet"
                write(frame.slice(start, end - start), path)
        if progress:
            progress(day)
    return {table: int(edge[-1] - edge[0]) for table, edge in edges.items()}


def write(frame: pl.DataFrame, path: Path) -> None:
    """Write a file whole or not at all: a sensor may be looking."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    frame.write_parquet(unfinished, compression="zstd", compression_level=1)
    os.replace(unfinished, path)
