"""Published protocols: how a public data set of a known format is split, scored and measured.

`PROTOCOLS` names each format; a protocol takes the data's path and options by name and returns
rows of results, all of one shape. The systems under test are ours, through our own path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from rich.table import Table

Row: TypeAlias = dict[str, Any]
"""benchmark, system, metric, value, target, reference, unit, met."""
Protocol: TypeAlias = Callable[[Path, Mapping[str, str]], list[Row]]


class ProtocolError(ValueError):
    """The data or an option does not fit the protocol; the message says what and how to mend it."""


def _fraud_handbook(path: Path, options: Mapping[str, str]) -> list[Row]:
    from agora.protocols.fraud_handbook import run

    return run(path, options)


def _beir(path: Path, options: Mapping[str, str]) -> list[Row]:
    from agora.protocols.beir import run

    return run(path, options)


def _movielens(path: Path, options: Mapping[str, str]) -> list[Row]:
    from agora.protocols.movielens import run

    return run(path, options)


PROTOCOLS: dict[str, Protocol] = {
    "fraud-handbook": _fraud_handbook,
    "beir": _beir,
    "movielens": _movielens,
}


def row(
    benchmark: str,
    system: str,
    metric: str,
    value: float,
    *,
    target: float | None = None,
    exact: bool = False,
    reference: str = "",
    unit: str = "",
) -> Row:
    """One result; `met` says whether the value reaches the target, or equals it when `exact`."""
    met = None if target is None else (value == target if exact else value >= target)
    return {
        "benchmark": benchmark,
        "system": system,
        "metric": metric,
        "value": value,
        "target": target,
        "reference": reference,
        "unit": unit,
        "met": met,
    }


def table_of(rows: list[Row]) -> Table:
    """Results as a table for the terminal."""
    from rich.table import Table

    table = Table()
    for column in ("benchmark", "metric", "value", "target", "met", "published"):
        table.add_column(column, justify="right" if column in {"value", "target"} else "left")
    for found in rows:
        met = {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[found["met"]]
        table.add_row(
            f"{found['system']}/{found['benchmark']}",
            found["metric"],
            _number(found["value"]),
            _number(found["target"]),
            met,
            found["reference"],
        )
    return table


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value == int(value) and abs(value) > 1 else f"{value:.3f}"
