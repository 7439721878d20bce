"""How long answers took, by stage, from the prediction log; held against the budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from agora.budgets import TIER, TOTAL, overruns
from agora.stores.lake import quote

if TYPE_CHECKING:
    from datetime import datetime

    from agora.budgets import Overrun
    from agora.stores.lake import Lake
    from agora.system import System

FEWEST = 20
"""Answers below which a percentile says nothing."""


def stage_latencies(
    lake: Lake, system: str, start: datetime | None = None, end: datetime | None = None
) -> pl.DataFrame:
    """Milliseconds per stage of live answers in [start, end): stage, answers, p50, p95, p99.

    `total` is the sum of an answer's stages; a tier's time is part of `inference` and counts once.
    """
    where = [f"predicted_at >= timestamptz '{start.isoformat()}'"] if start else []
    where += [f"predicted_at < timestamptz '{end.isoformat()}'"] if end else []
    condition = f"where {' and '.join(where)}" if where else ""
    return lake.query(f"""
        with spent as (
            select prediction_id, unnest(latencies, recursive := true)
            from predictions.{quote(system)} {condition}
        ),
        stages as (
            select stage, nanoseconds / 1e6 as ms from spent
            union all
            select '{TOTAL}', sum(nanoseconds) / 1e6 from spent
            where not starts_with(stage, '{TIER}')
            group by prediction_id
        )
        select
            stage, count(*) as answers, quantile_cont(ms, 0.5) as p50,
            quantile_cont(ms, 0.95) as p95, quantile_cont(ms, 0.99) as p99
        from stages group by stage order by stage
    """)


def over_budget(
    system: System, lake: Lake, start: datetime | None = None, end: datetime | None = None
) -> list[Overrun]:
    """Stages whose 99th percentile lies above the budget; none where there are few answers."""
    if not lake.exists(f"predictions/{system.name}"):
        return []
    found = stage_latencies(lake, system.name, start, end).filter(pl.col("answers") >= FEWEST)
    return overruns(system.budgets, dict(found.select("stage", "p99").iter_rows()))
