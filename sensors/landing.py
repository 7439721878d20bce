"""New landing files start an ingestion of exactly their tables and days."""

import hashlib
import json
from collections.abc import Iterator
from datetime import date, timedelta

import dagster as dg

from agora.ingest import landing_signatures
from agora.settings import Settings
from agora.tables import TABLES
from assets.partitions import DAILY, range_tags
from assets.raw import LANDING

Signatures = dict[str, dict[str, str]]
"""Table -> day -> a text that changes with the day's files."""


def landing_sensor(settings: Settings) -> dg.SensorDefinition:
    """Compares what lies in the landing folders with what was taken from them."""

    @dg.sensor(
        name="landing",
        asset_selection=dg.AssetSelection.groups("raw", "quarantine"),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="New or changed landing files start one ingestion of their tables and days.",
    )
    def landing(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        seen: Signatures = json.loads(context.cursor or "{}")
        landed = known_partitions(landing_signatures(settings.landing))
        changed = changes(landed, seen)
        fresh = changes(changed, taken(context.instance, changed))
        requests = list(run_requests(fresh))
        if not changed:
            return dg.SkipReason("no new landing files")
        return dg.SensorResult(run_requests=requests, cursor=json.dumps(landed, sort_keys=True))

    return landing


def known_partitions(landed: Signatures) -> Signatures:
    """What has a contract and a partition; a folder of the year 1970 or of tomorrow waits."""
    days = set(DAILY.get_partition_keys())
    return {
        table: {day: signature for day, signature in found.items() if day in days}
        for table, found in landed.items()
        if table in TABLES
    }


def changes(landed: Signatures, seen: Signatures) -> Signatures:
    """Days whose files are not those that were seen."""
    found = {
        table: {day: text for day, text in days.items() if seen.get(table, {}).get(day) != text}
        for table, days in landed.items()
    }
    return {table: days for table, days in found.items() if days}


def taken(instance: dg.DagsterInstance, landed: Signatures) -> Signatures:
    """Signatures of the files that the raw tables were last made from, whoever started that run."""
    found: Signatures = {}
    for table, days in landed.items():
        newest = found.setdefault(table, {})
        records = instance.fetch_materializations(
            dg.AssetRecordsFilter(dg.AssetKey(["raw", table]), asset_partitions=list(days)),
            limit=10 * len(days),
        ).records
        for record in records:
            materialization = record.asset_materialization
            if materialization and materialization.partition not in newest:
                value = materialization.metadata.get(LANDING)
                newest[materialization.partition or ""] = str(value.value) if value else ""
    return found


def run_requests(fresh: Signatures) -> Iterator[dg.RunRequest]:
    """One run for each stretch of days on which the same tables changed."""
    by_day: dict[str, dict[str, str]] = {}
    for table, days in sorted(fresh.items()):
        for day, text in days.items():
            by_day.setdefault(day, {})[table] = text
    for stretch in stretches(by_day):
        tables = sorted(by_day[stretch[0]])
        texts = [by_day[day][table] for day in stretch for table in tables]
        yield dg.RunRequest(
            # The same files never start a second run, whatever becomes of the cursor.
            run_key=hashlib.sha256("\n".join([*stretch, *tables, *texts]).encode()).hexdigest()[
                :24
            ],
            asset_selection=[
                dg.AssetKey([layer, table]) for table in tables for layer in ("raw", "quarantine")
            ],
            tags=range_tags(stretch[0], stretch[-1]),
        )


def stretches(by_day: dict[str, dict[str, str]]) -> list[list[str]]:
    """Days in a row with the same tables."""
    found: list[list[str]] = []
    for day in sorted(by_day):
        before = str(date.fromisoformat(day) - timedelta(days=1))
        if found and found[-1][-1] == before and by_day[before].keys() == by_day[day].keys():
            found[-1].append(day)
        else:
            found.append([day])
    return found
