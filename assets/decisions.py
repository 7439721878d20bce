"""Who or what decided on a version: what the assets put into `<system>/decisions`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from agora.evaluation import Report
from agora.stores.decisions import Action, Decision, metrics_of, record
from agora.stores.lake import Lake
from agora.stores.models import ModelRegistry
from agora.system import System

STIMULUS = "agora/stimulus"
"""Run tag: what a training answers, as `schedule` or `drift/2026-03-01`; absent: a person's run."""
BLOCKING = ("parity",)
"""Checks of `<system>/evaluation` beside the gate whose failure keeps a version from serving."""


def decide(
    run: dg.DagsterRun,
    lake: Lake,
    models: ModelRegistry,
    system: System,
    version: str,
    action: Action,
    *,
    by: str,
    report: Report | None = None,
    reasons: Sequence[str] = (),
    before: str | None = None,
) -> bool:
    """Record a decision of this run; a refusal leaves the champion where it is."""
    champion = models.alias(system)
    return record(
        lake,
        Decision(
            system=system.name,
            version=version,
            action=action,
            by=by,
            stimulus=stimulus_of(run.tags),
            run_id=run.run_id,
            reasons=reasons,
            metrics=metrics_of(report) if report else {},
            champion_before=before if action == "promoted" else champion,
            champion_after=champion,
        ),
    )


def stimulus_of(tags: Mapping[str, str]) -> str:
    """What started a run; Dagster's own name of the schedule where there is no other."""
    return tags.get(STIMULUS) or ("schedule" if tags.get("dagster/schedule_name") else "")


def failed_checks(
    instance: dg.DagsterInstance, system: System, names: Sequence[str] = BLOCKING
) -> dict[str, str]:
    """Blocking checks whose newest evaluation failed, with what it said."""
    failed: dict[str, str] = {}
    for name in names:
        key = dg.AssetCheckKey(dg.AssetKey([system.name, "evaluation"]), name)
        history = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
        for entry in history:
            event = entry.event.dagster_event if entry.event else None
            # A planned evaluation that never came says nothing.
            if event and event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                found = event.asset_check_evaluation_data
                if not found.passed:
                    failed[name] = found.description or "failed"
                break
    return failed
