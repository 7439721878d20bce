"""What a day's log says of itself: volume, decisions, tiers, fallbacks, latency by stage.

Aggregated in DuckDB over the columns that are needed: a million rows are never held at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agora.monitoring.table import Measure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from agora.stores.lake import Lake

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
TOTAL = "total"
MILLISECOND = 1e6


def of_day(lake: Lake, table: str, day: date) -> str:
    """A SELECT over one day of a prediction table."""
    return f"(select * from ({lake.scan(table)}) where prediction_date = date '{day}')"


def count(lake: Lake, table: str, day: date) -> int:
    """Predictions of a day."""
    if not lake.exists(table):
        return 0
    return int(lake.query(f"select count(*) from {of_day(lake, table, day)}").item())


def traffic(lake: Lake, table: str, log: str, day: date, rows: int) -> Iterator[Measure]:
    """Measures of the day's log."""
    source = of_day(lake, table, day)
    degraded, score = lake.query(f"select avg(degraded::double), avg(score) from {source}").row(0)
    yield Measure("predictions", log, rows, rows=rows)
    yield Measure("degraded_share", log, degraded, rows=rows)
    yield Measure("score_mean", log, score, rows=rows)
    for metric, column in (("decision_share", "decision"), ("tier_share", "tier")):
        sql = f"select {column}, count(*) from {source} where {column} is not null group by all"
        yield from _shares(lake, sql, metric, log, rows)
    sql = f"select fallback, count(*) from (select unnest(fallbacks) as fallback from {source})"
    yield from _shares(lake, f"{sql} group by all", "fallback_share", log, rows)
    yield from _latencies(lake, source, log)


def _shares(lake: Lake, sql: str, metric: str, log: str, rows: int) -> Iterator[Measure]:
    for name, found in lake.query(f"{sql} order by all").iter_rows():
        yield Measure(metric, f"{log}/{name}", found / rows, rows=found)


def _latencies(lake: Lake, source: str, log: str) -> Iterator[Measure]:
    """Milliseconds by stage, and in total: `inference/<tier>` is a part of `inference`."""
    quantiles = f"quantile_cont(spent, {list(QUANTILES.values())})"
    # One scan; the stages of one answer are added up in the list, not by grouping.
    found = lake.query(f"""
        with logged as (select latencies from {source} where len(latencies) > 0),
        spans as (
            select unnest(latencies).stage as stage, unnest(latencies).nanoseconds as spent
            from logged
            union all
            select '{TOTAL}' as stage, list_sum(list_transform(
                list_filter(latencies, lambda span: not contains(span.stage, '/')),
                lambda span: span.nanoseconds
            )) as spent
            from logged
        )
        select stage, {quantiles} as quantiles, count(*) as n
        from spans group by stage order by stage
    """)
    for stage, values, n in found.iter_rows():
        for name, value in zip(QUANTILES, values, strict=True):
            yield Measure(f"latency_{name}_ms", f"{log}/{stage}", value / MILLISECOND, rows=n)
