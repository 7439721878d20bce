"""The plugin's writes: windows, races between writers, schemas."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from agora.stores.dbt_plugin import Plugin
from agora.stores.lake import Lake, SchemaChangedError

if TYPE_CHECKING:
    from pathlib import Path

DAY = date(2026, 3, 1)


def open_plugin(root: Path) -> Plugin:
    plugin = Plugin(name="lake", plugin_config={"root": str(root), "options": "{}"})
    plugin.configure_connection(duckdb.connect(":memory:"))
    return plugin


def store(plugin: Plugin, sql: str, days: int | None = 1, start: date = DAY) -> dict[str, Any]:
    """Store a query's rows for some days, or as a whole table."""
    out: dict[str, Any] = {}
    config = {
        "table": "marts/visits", "sql": sql, "partition_by": "day", "metadata": {}, "out": out,
        "start": str(start) if days else "",
        "end": str(start + timedelta(days=days)) if days else "",
    }  # fmt: skip
    plugin.store(SimpleNamespace(config=config))  # type: ignore[arg-type]
    return out


def visits(start: date, days: int, rows: int = 10) -> str:
    return f"""
        select date '{start}' + d::integer as day, r as visit, 1.5::double as length
        from range({days}) as a(d), range({rows}) as b(r)
    """


def test_a_window_replaces_its_days_and_no_other(tmp_path: Path) -> None:
    plugin = open_plugin(tmp_path)
    store(plugin, visits(DAY, 5), days=5)
    middle = DAY + timedelta(days=2)
    out = store(plugin, visits(middle, 1, rows=3), start=middle)
    assert out["rows"] == 3
    counts = plugin.lake.query(
        "select day, count(*) as n from marts.visits group by day order by day"
    )
    assert counts["n"].to_list() == [10, 10, 3, 10, 10]


def test_an_empty_window_empties_its_days(tmp_path: Path) -> None:
    plugin = open_plugin(tmp_path)
    store(plugin, visits(DAY, 2), days=2)
    store(plugin, f"select * from ({visits(DAY, 1)}) where false")
    assert plugin.lake.read("marts/visits")["day"].unique().to_list() == [DAY + timedelta(days=1)]


def test_first_writers_of_different_days_both_stay(tmp_path: Path) -> None:
    plugins = [open_plugin(tmp_path) for _ in range(4)]
    starts = [DAY + timedelta(days=number) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda pair: store(pair[0], visits(pair[1], 1), start=pair[1]),
                zip(plugins, starts, strict=True),
            )
        )
    assert sorted(Lake(str(tmp_path)).read("marts/visits")["day"].unique()) == starts


def test_writers_of_the_same_day_leave_one_writers_rows(tmp_path: Path) -> None:
    plugins = [open_plugin(tmp_path) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda plugin: store(plugin, visits(DAY, 1, rows=100)), plugins))
    assert Lake(str(tmp_path)).read("marts/visits").height == 100


@pytest.mark.parametrize(
    "sql",
    [
        f"select date '{DAY}' as day, 1::bigint as visit",
        f"select date '{DAY}' as day, 1::bigint as visit, 1::integer as length",
    ],
    ids=["a column is gone", "a type is narrower"],
)
def test_a_window_does_not_narrow_the_table(tmp_path: Path, sql: str) -> None:
    plugin = open_plugin(tmp_path)
    store(plugin, visits(DAY, 2), days=2)
    with pytest.raises(SchemaChangedError):
        store(plugin, sql)
    assert plugin.lake.read("marts/visits").height == 20


def test_a_query_that_fails_midway_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    plugin = open_plugin(tmp_path)
    store(plugin, visits(DAY, 1))
    before = plugin.lake.version("marts/visits")
    broken = f"""
        select date '{DAY}' as day, r as visit,
            case when r = 900000 then error('broken') else 1.5 end::double as length
        from range(1000000) as a(r)
    """
    with pytest.raises(Exception, match="broken"):
        store(plugin, broken)
    assert plugin.lake.version("marts/visits") == before


def test_a_raw_table_without_a_newer_column_has_it_empty(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    lake.write("raw/verdicts", lake.query("select 'v1' as verdict_id, 'p1' as payment_id"))
    plugin = open_plugin(tmp_path)
    rows = plugin.connection.sql("select verdict_id, is_fraud from raw.verdicts").fetchall()
    assert rows == [("v1", None)]


def test_what_landed_in_other_layers_is_not_dbts(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    lake.write("predictions/fraud", lake.query("select 1 as score"))
    plugin = open_plugin(tmp_path)
    with pytest.raises(duckdb.CatalogException):
        plugin.connection.sql("select * from predictions.fraud")
