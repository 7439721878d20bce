"""Raw tables: landing files to Delta, one partition per arrival day, checked by contract.

One definition per contract in `agora.tables`: the table, its blocking check `schema`, and what was
refused beside it.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg

from agora.expectations import CheckResult, check
from agora.ingest import IngestReport, ingest, landing_signatures
from agora.schema import Table
from agora.settings import Settings
from agora.stores.lake import Lake
from agora.tables import TABLES
from assets.partitions import DAILY, ONE_RUN, days_of
from assets.profile import column_profile, counts, rows_by_day, schema_of, table_metadata
from resources.compute import INGEST

LANDING = "landing_signature"
"""Metadata of a day: the files it came from; the landing sensor compares it with those that lie."""


def raw_assets() -> list[dg.AssetsDefinition]:
    """One definition per landing contract."""
    return [raw_table(table) for table in TABLES.values()]


def raw_table(table: Table) -> dg.AssetsDefinition:
    """`raw/<table>`, its blocking check `schema`, and `quarantine/<table>`."""

    @dg.multi_asset(
        name=f"raw__{table.name}",
        specs=[_raw_spec(table), _quarantine_spec(table)],
        check_specs=[_check_spec(table)],
        partitions_def=DAILY,
        backfill_policy=ONE_RUN,
        op_tags=INGEST,
    )
    def taken(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        settings: dg.ResourceParam[Settings],
    ) -> Iterator[dg.MaterializeResult]:
        days = days_of(context)
        # Before the files are read: one that changes meanwhile has another signature by then.
        signatures = landing_signatures(settings.landing).get(table.name, {})
        report = ingest(
            lake, settings.landing, table, *days, {"dagster_run_id": context.run.run_id}
        )
        _describe_days(context, lake, table, days, signatures)
        yield _raw_result(lake, table, report, check(lake, table, *days))
        yield _quarantine_result(lake, table, report)

    return taken


def _raw_spec(table: Table) -> dg.AssetSpec:
    return dg.AssetSpec(
        ["raw", table.name],
        description=table.grain,
        group_name="raw",
        owners=[table.owner],
        kinds={"deltalake", "polars"},
        tags={"stage": "raw"},
        partitions_def=DAILY,
        metadata={
            "dagster/column_schema": schema_of(table),
            "consumers": ", ".join(table.consumers),
            "update_frequency": table.frequency,
            "key": ", ".join(table.key),
        },
    )


def _quarantine_spec(table: Table) -> dg.AssetSpec:
    return dg.AssetSpec(
        ["quarantine", table.name],
        description=(
            f"One row per landed row that the contract of {table.name} refused, with its reasons."
            "\n\n"
            "To replay: repair the file where it landed; its day is taken again."
        ),
        group_name="quarantine",
        owners=[table.owner],
        kinds={"deltalake", "polars"},
        tags={"stage": "quarantine"},
        partitions_def=DAILY,
    )


def _check_spec(table: Table) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        "schema",
        asset=["raw", table.name],
        blocking=True,
        description=(
            "Every column holds what the contract says, keys are unique per arrival, and at most "
            f"{table.max_rejected_share:.0%} of the rows were refused."
        ),
    )


def _describe_days(
    context: dg.AssetExecutionContext,
    lake: Lake,
    table: Table,
    days: tuple[date, date],
    signatures: dict[str, str],
) -> None:
    """A range has one set of metadata; what differs from day to day is added per partition."""
    for name in ("raw", "quarantine"):
        rows = rows_by_day(lake, f"{name}/{table.name}", "arrival_date", *days)
        for day in context.partition_keys:
            metadata: dict[str, Any] = {"dagster/partition_row_count": rows.get(day, 0)}
            if name == "raw":
                metadata[LANDING] = signatures.get(day, "")
            context.add_asset_metadata(metadata, asset_key=[name, table.name], partition_key=day)


def _raw_result(
    lake: Lake, table: Table, report: IngestReport, verdict: CheckResult
) -> dg.MaterializeResult:
    return dg.MaterializeResult(
        asset_key=["raw", table.name],
        metadata={
            **table_metadata(lake, f"raw/{table.name}"),
            **column_profile(lake, table, report.start, report.end),
            "dagster/column_schema": schema_of(table),
            "consumers": ", ".join(table.consumers),
            "update_frequency": table.frequency,
            "files_read": report.files,
            "rows_read": report.rows_read,
            "rows_rejected": report.rows_rejected,
            "duplicates": report.duplicates,
            "rejected_for": counts("reason", report.reasons),
            "unexpected_columns": ", ".join(report.unexpected_columns),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="schema",
                passed=verdict.passed,
                description="; ".join(verdict.failures)[:1000],
                metadata={key: str(value) for key, value in verdict.statistics.items()},
            )
        ],
    )


def _quarantine_result(lake: Lake, table: Table, report: IngestReport) -> dg.MaterializeResult:
    return dg.MaterializeResult(
        asset_key=["quarantine", table.name],
        metadata={
            **table_metadata(lake, f"quarantine/{table.name}"),
            "rows_rejected": report.rows_rejected,
            "files_rejected": report.files_rejected,
            # Never the rows: they may hold personal data, and more people see the UI than the lake.
            "rejected_for": counts("reason", report.reasons),
        },
    )
