"""Decisions on what serves: each promotion, refusal, rollback and adjustment, and whose it was.

One row per decision in `<system>/decisions`, appended and never changed.
"""

from __future__ import annotations

import getpass
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from agora.schema import TIME
from agora.stores.lake import literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agora.evaluation import Report
    from agora.stores.lake import Lake

Action: TypeAlias = Literal["promoted", "refused", "rolled_back", "adjusted", "withdrawn"]

SCHEMA: dict[str, pl.DataType] = {
    "at": TIME,
    "system": pl.String(),
    "version": pl.String(),
    "action": pl.String(),
    "by": pl.String(),
    "stimulus": pl.String(),
    "run_id": pl.String(),
    "reasons": pl.List(pl.String),
    "metrics": pl.List(pl.Struct({"name": pl.String, "value": pl.Float64})),
    "champion_before": pl.String(),
    "champion_after": pl.String(),
}
"""Columns of `<system>/decisions`."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One decision.

    Attributes:
        system: The system.
        version: Version that was decided on: a model, or a model with adjustments as `3+a2`.
        action: What was decided.
        by: Who or what decided: `gate`, `check:<name>`, `deployment`, `person:<name>`,
            `sensor:<stimulus>`.
        stimulus: What started it: `schedule`, `drift/2026-03-01`; empty when a person did.
        run_id: Run in which it was decided; with version and action it names the decision.
        reasons: What held, or what did not, in words.
        metrics: What the decision looked at.
        champion_before: Version that served before.
        champion_after: Version that serves from now on.
        at: When.
    """

    system: str
    version: str
    action: Action
    by: str
    stimulus: str = ""
    run_id: str | None = None
    reasons: Sequence[str] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    champion_before: str | None = None
    champion_after: str | None = None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


def table_of(system: str) -> str:
    """Lake table of a system's decisions."""
    return f"{system}/decisions"


def record(lake: Lake, decision: Decision) -> bool:
    """Append a decision; one that its run recorded already is left out. Whether it was added."""
    table = table_of(decision.system)
    if not lake.exists(table):
        _create(lake, table)
    if decision.run_id and _is_recorded(lake, decision):
        return False
    row = {
        **{name: getattr(decision, name) for name in SCHEMA},
        "reasons": list(decision.reasons),
        "metrics": [{"name": n, "value": float(v)} for n, v in decision.metrics.items()],
    }
    write_deltalake(
        lake.uri(table),
        pl.DataFrame([row], schema=SCHEMA).to_arrow(),
        mode="append",
        schema_mode="merge",
        storage_options=lake.options,
        commit_properties=CommitProperties(custom_metadata={"decision": decision.action}),
    )
    return True


def read(lake: Lake, system: str) -> pl.DataFrame:
    """All decisions of a system, oldest first; none before the first."""
    if not lake.exists(table_of(system)):
        return pl.DataFrame(schema=SCHEMA)
    return (
        lake.read(table_of(system))
        .select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
        .sort("at", maintain_order=True)
    )


def metrics_of(report: Report) -> dict[str, float]:
    """What the gate looked at: each model's metrics and the candidate's leads."""
    metrics = {
        f"{model}/{name}": estimate.value
        for model, found in report.metrics.items()
        for name, estimate in found.items()
    }
    leads = {f"lead over {model}": lead.value for model, lead in report.differences.items()}
    return {name: value for name, value in {**metrics, **leads}.items() if value == value}


def person() -> str:
    """`person:<login>` of whoever runs this process."""
    try:
        return f"person:{getpass.getuser()}"
    except (OSError, KeyError):
        return "person:unknown"


def _is_recorded(lake: Lake, decision: Decision) -> bool:
    found = lake.read(
        table_of(decision.system),
        ["run_id"],
        where=" and ".join(
            f"{name} = {literal(value)}"
            for name, value in (
                ("run_id", decision.run_id or ""),
                ("version", decision.version),
                ("action", decision.action),
            )
        ),
    )
    return not found.is_empty()


def _create(lake: Lake, table: str) -> None:
    # Two first writers leave one table.
    with suppress(DeltaError):
        DeltaTable.create(
            lake.uri(table),
            pa.schema(pl.DataFrame(schema=SCHEMA).to_arrow().schema),
            mode="ignore",
            storage_options=lake.options,
            commit_properties=CommitProperties(max_commit_retries=0),
        )
