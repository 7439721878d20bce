"""Results of benchmarks: one shape, one table, one file of JSON lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FOLDER = Path(__file__).parent / "results"
FIELDS = ("benchmark", "system", "metric", "value", "target", "reference", "unit", "met")


def write(name: str, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows as JSON lines to `benchmarks/results/<name>.jsonl`, replacing an older run."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.jsonl"
    lines = [json.dumps({field: row.get(field) for field in FIELDS}) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def show(rows: Iterable[Mapping[str, Any]], title: str) -> None:
    """Print rows as a table."""
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("metric", "value", "target", "met"):
        table.add_column(column, justify="left" if column == "metric" else "right", no_wrap=True)
    table.add_column("reference", ratio=1)
    for row in rows:
        met = {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[row.get("met")]
        table.add_row(
            f"{row['system']}/{row['metric']}",
            _number(row["value"], row.get("unit")),
            _number(row.get("target"), row.get("unit")),
            met,
            str(row.get("reference") or ""),
        )
    Console().print(table)


def _number(value: float | None, unit: str | None) -> str:
    if value is None:
        return ""
    digits = f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
    return f"{digits} {unit or ''}".rstrip()
