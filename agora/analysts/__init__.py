"""Learning from analysts within a minute: labels since the training become adjustments, or not.

In this order: what analysts said and the predictions that they spoke of (`log`), the shift of each
merchant's or device's log-odds that explains the labels (`shifts`), a gate that tries it on rows it
has not seen (`gate`), and `adjust`, which puts it in force or writes down why not.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from agora.adjustments import Adjustments
from agora.analysts.gate import judge
from agora.analysts.log import evidence, known_labels
from agora.analysts.shifts import shifts
from agora.stores import adjustments as files
from agora.stores import deployments
from agora.stores.decisions import Decision, record
from agora.stores.drain import drain
from agora.stores.lake import Lake
from agora.stores.models import ModelRegistry

if TYPE_CHECKING:
    import polars as pl

    from agora.settings import Settings
    from agora.system import System

__all__ = ["Change", "adjust", "shifts", "withdraw"]


@dataclass(frozen=True, slots=True)
class Change:
    """What came of the newest labels: `none`, `adjusted` or `refused`, with the version and why."""

    action: str
    version: str = ""
    reasons: tuple[str, ...] = ()


def adjust(
    system: System,
    settings: Settings,
    *,
    now: datetime | None = None,
    by: str = "sensor:labels",
    run_id: str | None = None,
) -> Change:
    """Learn from the labels since the model was trained; does nothing where none are new.

    Args:
        system: Whose.
        settings: The instance.
        now: The time.
        by: What asks for it, for the record.
        run_id: Run that asks for it; the labels' own mark by default, so that a repetition
            records nothing twice.
    """
    rule, lake = system.adjusting, Lake(settings.lake, settings.lake_options)
    served = _served(system, settings)
    if rule is None or served is None:
        return Change("none", reasons=("nothing is adjusted or nothing serves",))
    now, (version, folder) = now or datetime.now(UTC), served
    drain(settings.prediction_log / system.name, lake)
    rows = evidence(system, lake, version, known_labels(system, settings, lake, now, rule), now)
    mark = _mark(version, rows)
    current = files.in_force(settings.adjustments, system.name)
    before = current if current and current.model_version == version else None
    if rows.is_empty() or (before and before.labels == mark):
        return Change("none", reasons=("no new labels",))
    found = shifts(rows, rule, now)
    if not found and before is None:
        return Change("none", reasons=("the labels are what the model expects",))
    number = files.next_number(settings.adjustments, system.name)
    made = Adjustments(
        system=system.name, number=number, model_version=version, made_at=now,
        half_life_hours=rule.half_life / timedelta(hours=1), shifts=found, labels=mark,
    )  # fmt: skip
    judged = judge(system, system.load(folder), lake, rows, made, now)
    if not judged.reasons:
        files.publish(settings.adjustments, made)
    change = Change(
        "refused" if judged.reasons else "adjusted",
        f"{version}+a{number}",
        judged.reasons or judged.held,
    )
    record(
        lake,
        Decision(
            system=system.name,
            version=change.version,
            action="refused" if judged.reasons else "adjusted",
            by="gate" if judged.reasons else by,
            stimulus=by,
            run_id=run_id or mark,
            reasons=change.reasons,
            metrics=judged.metrics,
            champion_before=version,
            champion_after=version,
            at=now,
        ),
    )
    return change


def withdraw(system: System, settings: Settings, *, by: str, reason: str = "") -> bool:
    """Put no adjustments in force and write down who wanted it; whether there were any."""
    current = files.in_force(settings.adjustments, system.name)
    if current is None:
        return False
    files.withdraw(settings.adjustments, system.name)
    record(
        Lake(settings.lake, settings.lake_options),
        Decision(
            system=system.name,
            version=f"{current.model_version}+a{current.number}",
            action="withdrawn",
            by=by,
            reasons=[reason] if reason else [],
            champion_before=current.model_version,
            champion_after=current.model_version,
        ),
    )
    return True


def _served(system: System, settings: Settings) -> tuple[str, Path] | None:
    """The model that serves: the deployment's, or the champion where nothing is deployed."""
    pointer = deployments.read(settings.deployments, system.name)
    if pointer is not None:
        return pointer.current.version, Path(pointer.current.model)
    models = ModelRegistry(settings)
    version = models.alias(system)
    return (version, models.folder(system, version)) if version else None


def _mark(version: str, rows: pl.DataFrame) -> str:
    """Changes with the labels and with nothing else."""
    if rows.is_empty():
        return ""
    said = rows.select("prediction_id", "label", "labelled_at").write_csv()
    return hashlib.sha256(f"{version}\n{said}".encode()).hexdigest()[:16]
