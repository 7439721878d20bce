"""History: which version served at a time, since when, who decided it, and on what grounds.

`<system>/decisions` is the record. A deployment whose process died before it wrote there is still
known from the pointer of the running service, and is shown with what the pointer knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from agora.adjustments import AdjustmentsError, parted
from agora.stores import decisions, deployments
from agora.stores.adjustments import read as read_adjustments
from agora.stores.lake import Lake
from agora.stores.models import ModelRegistry, UnknownModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora.settings import Settings
    from agora.system import System

SWITCHES = ("promoted", "rolled_back")
CHANGES = ("adjusted", "withdrawn")
EVENTS = 20
MOST_SHIFTS = 5


@dataclass(frozen=True, kw_only=True)
class State:
    """What served at a time.

    Attributes:
        system: The system.
        at: The time.
        version: Version that served; None: nothing did.
        since: When it took over.
        by: Who or what decided that.
        decision: The decision's row; empty where none was recorded.
        training_set: What it was trained on, from its card; empty if it is not in the registry.
        metrics: Its metrics on the test span, as text.
        adjustments: Adjustments in force: number, since, shifts by entity.
    """

    system: str
    at: datetime
    version: str | None = None
    since: datetime | None = None
    by: str = ""
    decision: dict[str, Any] = field(default_factory=dict)
    training_set: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    adjustments: dict[str, Any] = field(default_factory=dict)


def history(settings: Settings, system: System, at: datetime) -> State:
    """What served at a time.

    Args:
        settings: The instance.
        system: The system.
        at: The time, with a zone.

    Raises:
        ValueError: The time has no zone.
    """
    if at.tzinfo is None:
        raise ValueError(f"the time must have a zone, as {at.isoformat()}+00:00")
    known = events(settings, system).filter(pl.col("at") <= at)
    switches = known.filter(pl.col("action").is_in(SWITCHES))
    if switches.is_empty():
        return State(system=system.name, at=at)
    switch = switches.row(-1, named=True)
    training_set, metrics = _card(settings, system, switch["version"])
    return State(
        system=system.name,
        at=at,
        version=switch["version"],
        since=switch["at"],
        by=switch["by"],
        decision=switch,
        training_set=training_set,
        metrics=metrics,
        adjustments=_in_force(settings, system, known, switch["version"]),
    )


def events(settings: Settings, system: System) -> pl.DataFrame:
    """All decisions, oldest first, with the deployments that nobody could write down."""
    found = decisions.read(Lake(settings.lake, settings.lake_options), system.name)
    lost = [
        {
            **dict.fromkeys(decisions.SCHEMA),
            "at": each.deployed_at,
            "system": system.name,
            "version": each.version,
            "action": "promoted",
            "by": "unrecorded",
            "run_id": each.run_id,
            "reasons": ["the service's pointer names it; its run left no decision"],
            "metrics": [],
            "champion_after": each.version,
        }
        for each in _pointed(settings, system)
        if not _is_recorded(found, each)
    ]
    frame = pl.DataFrame(lost, schema=decisions.SCHEMA)
    return pl.concat([found, frame]).sort("at", maintain_order=True)


def render(settings: Settings, system: System, at: datetime | None = None) -> str:
    """The state at a time, or without one the latest decisions, as text."""
    if at is None:
        return "\n".join(_listed(settings, system))
    return "\n".join(_told(history(settings, system, at)))


def _listed(settings: Settings, system: System) -> Iterator[str]:
    shown = events(settings, system).tail(EVENTS)
    if shown.is_empty():
        yield f"{system.name}: nothing has been decided yet"
    for row in shown.to_dicts():
        move = f"{row['champion_before'] or 'nothing'} -> {row['champion_after'] or 'nothing'}"
        why = f" [{row['stimulus']}]" if row["stimulus"] else ""
        yield (
            f"{row['at']:%Y-%m-%d %H:%M:%S}  {row['action']:<11}  version {row['version']}  "
            f"by {row['by']}{why}  serving {move}"
        )
        yield from (f"    {reason}" for reason in row["reasons"] or [])


def _told(state: State) -> Iterator[str]:
    moment = f"{state.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if state.version is None:
        yield f"{state.system} at {moment}: nothing served"
        return
    decision = state.decision
    yield f"{state.system} at {moment}: version {state.version}"
    yield f"since        {state.since:%Y-%m-%d %H:%M:%S} UTC, {decision['action']} by {state.by}"
    if decision["stimulus"]:
        yield f"trained for  {decision['stimulus']}"
    yield f"before it    {decision['champion_before'] or 'nothing'}"
    yield f"run          {decision['run_id'] or 'none'}"
    yield from (f"because      {reason}" for reason in decision["reasons"] or [])
    for name, value in state.training_set.items():
        yield f"{'trained on' if name == 'table' else '':<12} {name} {value}"
    if not state.training_set:
        yield "trained on   unknown: the version is not in the registry"
    yield from (f"metric       {name} {value}" for name, value in state.metrics.items())
    yield from _adjustments(state.adjustments)


def _adjustments(found: dict[str, Any]) -> Iterator[str]:
    if not found:
        yield "adjustments  none in force"
        return
    yield f"adjustments  {found['number']}, since {found['since']:%Y-%m-%d %H:%M:%S} UTC"
    for entity, shifts in found["shifts"].items():
        largest = sorted(shifts.items(), key=lambda pair: -abs(pair[1]))[:MOST_SHIFTS]
        named = ", ".join(f"{name} {shift:+.2f}" for name, shift in largest)
        yield f"             {len(shifts)} of {entity}: {named}"


def _pointed(settings: Settings, system: System) -> list[deployments.Deployment]:
    pointer = deployments.read(settings.deployments, system.name)
    return [each for each in (pointer.previous, pointer.current) if each] if pointer else []


def _is_recorded(found: pl.DataFrame, deployment: deployments.Deployment) -> bool:
    same = found.filter(
        (pl.col("version") == deployment.version)
        & (pl.col("action").is_in(SWITCHES))
        & (pl.col("at") >= deployment.deployed_at)
    )
    return not same.is_empty()


def _card(
    settings: Settings, system: System, version: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """What a version was trained on and how it did, as its card says."""
    try:
        card = ModelRegistry(settings).card(system, version)
    except (UnknownModelError, OSError):
        return {}, {}
    made_of = card.training_set
    kept = ("table", "table_version", "as_of", "content_hash", "code_version")
    return (
        {name: made_of.get(name) for name in kept},
        {
            name: f"{each['value']:.4f} ({each['low']:.4f} to {each['high']:.4f})"
            for name, each in card.metrics.items()
        },
    )


def _in_force(
    settings: Settings, system: System, known: pl.DataFrame, version: str
) -> dict[str, Any]:
    """The adjustments of this version at that time."""
    changes = known.filter(pl.col("action").is_in(CHANGES))
    if changes.is_empty():
        return {}
    last = changes.row(-1, named=True)
    model, number = parted(last["version"])
    if last["action"] == "withdrawn" or number is None or model != version:
        return {}
    try:
        found = read_adjustments(settings.adjustments, system.name, number)
        shifts: dict[str, Any] = found.shifts
    except AdjustmentsError:
        shifts = {}
    return {"number": number, "since": last["at"], "shifts": shifts}
