"""Great Expectations over raw: what must hold of the accepted rows, whoever wrote them.

Memory stays bounded however large the window: DuckDB reads all of it and hands over *witnesses*, a
sample and up to a thousand of the rows that break a rule, so that the expectations hold on the
witnesses if and only if they hold on every row. What no row can show (column types, the share of
rejected rows) is handed over as a frame of facts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import polars as pl

from agora.schema import ARRIVED_AT, EVENT_AT
from agora.stores.lake import DUCKDB_TYPES, duckdb_type, literal, quote
from agora.validation import CLOCK_SKEW

if TYPE_CHECKING:
    from datetime import date

    from agora.schema import Column, Table
    from agora.stores.lake import Lake

SAMPLE = 10_000
OFFENDERS = 1_000
MEMORY_LIMIT = "1GB"
PARTITION = "arrival_date"
HELD_AS = {
    "string": "string", "integer": "long", "number": "double", "boolean": "boolean",
    "timestamp": "timestamp",
}  # fmt: skip


@dataclass(frozen=True)
class CheckResult:
    """What a check found; plain data.

    Attributes:
        passed: Whether everything held.
        failures: What did not, one sentence each; values of personal columns are left out.
        statistics: Counts: rows, rejected, files_rejected, rejected_share, expectations, sampled.
    """

    passed: bool
    failures: list[str] = field(default_factory=list)
    statistics: dict[str, float] = field(default_factory=dict)


def check(lake: Lake, table: Table, start: date, end: date) -> CheckResult:
    """Whether the rows that arrived on the days [start, end) keep the contract."""
    name = f"raw/{table.name}"
    if not lake.exists(name):
        return CheckResult(False, [f"{name} has not been written"])
    window = f"{PARTITION} >= date '{start}' and {PARTITION} < date '{end}'"
    facts = _shares(lake, table, window)
    columns = {item.name: duckdb_type(item.type) for item in lake.table(name).schema().fields}
    types = _types(table, columns)
    # A column of a foreign type is reported as such; its values cannot be compared.
    sound = set(types.filter(pl.col("held") == pl.col("expected"))["column"])
    rows, doubles = _witnesses(lake, table, sound, window)
    results = [
        *_validated(_with_times(rows, sound), _row_expectations(table, sound)),
        *_validated(doubles, _key_expectations(table, sound)),
        *_validated(types, _type_expectations()),
        *_validated(pl.DataFrame([facts]), _share_expectations(table)),
    ]
    personal = {column.name for column in table.all_columns if column.personal}
    failures = [sentence(result, personal) for result in results if not result["success"]]
    statistics = {**facts, "sampled": float(rows.height), "expectations": float(len(results))}
    return CheckResult(not failures, failures, statistics)


def _shares(lake: Lake, table: Table, window: str) -> dict[str, float]:
    rows = lake.query(f"select count(*) from raw.{table.name} where {window}").item()
    rejected = files = 0
    if lake.exists(f"quarantine/{table.name}"):
        rejected, files = lake.query(
            "select count(*), count(*) filter (where row_number is null) "
            f"from quarantine.{table.name} where {window}"
        ).row(0)
    share = rejected / (rows + rejected) if rejected else 0.0
    return {"rows": rows, "rejected": rejected, "files_rejected": files, "rejected_share": share}


def _types(table: Table, columns: dict[str, str]) -> pl.DataFrame:
    """One row per contract column: the type it has and the one it should have."""
    expected = {column.name: DUCKDB_TYPES[HELD_AS[column.kind]] for column in table.all_columns}
    present = [name for name in expected if name in columns]
    return pl.DataFrame(
        {
            "column": present,
            "held": [columns[name] for name in present],
            "expected": [expected[name] for name in present],
        }
    )


def _witnesses(
    lake: Lake, table: Table, columns: set[str], window: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows to judge one by one, and rows to judge by their keys."""
    rows = f"(select * from raw.{table.name} where {window})"
    keys = [name for name in (*table.key, ARRIVED_AT.name) if name in columns]
    listed = ", ".join(quote(name) for name in keys)
    with lake.connect(f"raw.{table.name}") as connection, TemporaryDirectory() as spill:
        connection.execute(
            f"set memory_limit='{MEMORY_LIMIT}'; set temp_directory={literal(spill)}"
        )

        def frame(sql: str) -> pl.DataFrame:
            return pl.DataFrame(connection.sql(sql).to_arrow_table())

        broken = f"coalesce({' or '.join(_broken_rules(table, columns))}, false)"
        whole = f"(select * from {rows} where not {broken})"
        sample = frame(
            f"select * from {whole} using sample reservoir({SAMPLE} rows) repeatable (1)"
        )
        offenders = frame(f"select * from {rows} where {broken} limit {OFFENDERS}")
        doubles = frame(
            f"select {listed} from {rows} group by all having count(*) > 1 limit {OFFENDERS}"
        )
        connection.register("doubles", doubles.to_arrow())
        doubled = frame(f"select * from {rows} semi join doubles using ({listed})")
    return pl.concat([sample, offenders]), doubled if doubled.height else sample


def _broken_rules(table: Table, columns: set[str]) -> list[str]:
    """SQL conditions that hold of a row that breaks the contract."""
    rules = ["false"]
    for column in table.all_columns:
        if column.name not in columns:
            continue
        name = quote(column.name)
        if not column.nullable:
            rules.append(f"{name} is null")
        if column.minimum is not None:
            rules.append(f"{name} < {column.minimum!r}")
        if column.maximum is not None:
            rules.append(f"{name} > {column.maximum!r}")
        if column.allowed:
            rules.append(f"{name} not in ({', '.join(map(literal, column.allowed))})")
        elif column.kind == "string":
            rules.append(f"length({name}::varchar) > {column.max_length}")
    if {EVENT_AT.name, ARRIVED_AT.name} <= columns:
        rules.append(f"event_at > arrived_at + interval '{CLOCK_SKEW.total_seconds():.0f} seconds'")
        rules.append(f"arrived_at::date <> {PARTITION}")
    return rules


def _row_expectations(table: Table, columns: set[str]) -> list[Any]:
    import great_expectations.expectations as gxe

    wanted = [
        expectation
        for column in table.all_columns
        if column.name in columns
        for expectation in _column_expectations(column)
    ]
    if {EVENT_AT.name, ARRIVED_AT.name} <= columns:
        wanted += [
            gxe.ExpectColumnPairValuesAToBeGreaterThanB(
                column_A="latest_event_at", column_B=EVENT_AT.name, or_equal=True
            ),
            gxe.ExpectColumnPairValuesToBeEqual(column_A="arrived_on", column_B=PARTITION),
        ]
    return wanted


def _column_expectations(column: Column) -> list[Any]:
    import great_expectations.expectations as gxe

    wanted: list[Any] = []
    if not column.nullable:
        wanted.append(gxe.ExpectColumnValuesToNotBeNull(column=column.name))
    if column.minimum is not None or column.maximum is not None:
        wanted.append(
            gxe.ExpectColumnValuesToBeBetween(
                column=column.name, min_value=column.minimum, max_value=column.maximum
            )
        )
    if column.allowed:
        wanted.append(
            gxe.ExpectColumnValuesToBeInSet(column=column.name, value_set=list(column.allowed))
        )
    elif column.kind == "string":
        wanted.append(
            gxe.ExpectColumnValueLengthsToBeBetween(column=column.name, max_value=column.max_length)
        )
    return wanted


def _key_expectations(table: Table, columns: set[str]) -> list[Any]:
    import great_expectations.expectations as gxe

    keys = [name for name in (*table.key, ARRIVED_AT.name) if name in columns]
    expected = sorted({*table.names, PARTITION, "source_file"})
    return [
        gxe.ExpectTableColumnsToMatchSet(column_set=expected, exact_match=True),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=keys),
    ]


def _type_expectations() -> list[Any]:
    import great_expectations.expectations as gxe

    return [gxe.ExpectColumnPairValuesToBeEqual(column_A="held", column_B="expected")]


def _share_expectations(table: Table) -> list[Any]:
    import great_expectations.expectations as gxe

    limit = table.max_rejected_share
    return [gxe.ExpectColumnValuesToBeBetween(column="rejected_share", max_value=limit)]


def _with_times(rows: pl.DataFrame, columns: set[str]) -> pl.DataFrame:
    """The rows with the columns that the time expectations compare against."""
    if ARRIVED_AT.name not in columns:
        return rows
    return rows.with_columns(
        (pl.col(ARRIVED_AT.name) + CLOCK_SKEW).alias("latest_event_at"),
        pl.col(ARRIVED_AT.name).dt.date().alias("arrived_on"),
    )


def _validated(frame: pl.DataFrame, expectations: list[Any]) -> list[dict[str, Any]]:
    """Great Expectations' verdict on a frame, in an ephemeral context that reports nowhere."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    context = gx.get_context(
        mode="ephemeral",
        project_config=DataContextConfig(
            analytics_enabled=False,
            progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
            store_backend_defaults=InMemoryStoreBackendDefaults(),
        ),
    )
    batches = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
    batch = batches.add_batch_definition_whole_dataframe("rows").get_batch(
        batch_parameters={"dataframe": frame.to_pandas()}
    )
    suite = gx.ExpectationSuite(name="contract", expectations=expectations)
    verdict = batch.validate(suite)
    return [result.to_json_dict() for result in verdict.results]


def sentence(result: dict[str, Any], personal: set[str]) -> str:
    """What an expectation found, in one line, without values of personal columns."""
    config, found = result["expectation_config"], result["result"]
    asked = {
        key: value
        for key, value in config["kwargs"].items()
        if key != "batch_id" and value is not None
    }
    said = ", ".join(f"{key}={value}" for key, value in asked.items())
    text = f"{config['type']}({said})"
    if raised := result.get("exception_info", {}).get("exception_message"):
        return f"{text}: {raised}"
    if count := found.get("unexpected_count"):
        text += f": {count} of {found['element_count']} examined rows"
    examples = found.get("partial_unexpected_list") or []
    if examples and not personal & {str(value) for value in asked.values()}:
        text += f", such as {', '.join(str(value) for value in examples[:3])}"
    elif details := found.get("details"):
        text += f": {details}"
    return text
