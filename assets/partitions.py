"""Days: the one partitions definition that every daily asset shares, and the days of a run."""

from __future__ import annotations

from datetime import date, timedelta

import dagster as dg

# Public data sets begin in 2018; the day that is still arriving (end_offset) can be taken at once.
DAILY = dg.DailyPartitionsDefinition("2018-01-01", end_offset=1)
# A range of days is one run, one query and one commit instead of one of each per day.
ONE_RUN = dg.BackfillPolicy.single_run()
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


def days_of(context: dg.AssetExecutionContext) -> tuple[date, date]:
    """Days [start, end) that the run stands for."""
    keys = context.partition_key_range
    return date.fromisoformat(keys.start), date.fromisoformat(keys.end) + timedelta(days=1)


def has_days(context: dg.AssetExecutionContext) -> bool:
    """Whether the run stands for days at all."""
    return not {"dagster/partition", RANGE_START}.isdisjoint(context.run.tags)


def range_tags(first: str, last: str) -> dict[str, str]:
    """Run tags that make one run stand for all days from first to last, both included."""
    return {RANGE_START: first, RANGE_END: last}
