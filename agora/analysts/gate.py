"""The gate of adjustments: tried on labels that they were not learned from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.adjustments import SHIFT, Adjusting, Adjustments, shifted
from agora.analysts.log import recent, shift_of, whole
from agora.analysts.shifts import shifts
from agora.audit.replay import joined, requests_of, used
from agora.cascade import Inferred
from agora.metrics import average_precision
from agora.pipeline import columns_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from agora.pipeline import Pipeline
    from agora.stores.lake import Lake
    from agora.system import System

Array = np.ndarray[Any, Any]

FOLDS = 5
# So few changed decisions are no wave, however small the log.
FEW_CHANGES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the gate found.

    Attributes:
        reasons: What does not hold; empty when the shifts may be put in force.
        held: What holds.
        metrics: What it looked at.
    """

    reasons: tuple[str, ...]
    held: tuple[str, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)


def judge(
    system: System,
    pipeline: Pipeline,
    lake: Lake,
    rows: pl.DataFrame,
    made: Adjustments,
    now: datetime,
) -> Judged:
    """Try shifts on labelled rows that they were not learned from, and count changed decisions."""
    rule = system.adjusting
    assert rule is not None
    labels, scores = rows["label"].to_numpy(), rows["score"].to_numpy()
    unseen = _unseen(rows, rule, made, now)
    before, after = scores, shifted(scores, unseen)
    measured = {
        "labels": float(len(rows)),
        "average_precision/before": float(average_precision(labels, before, _once(labels))[0]),
        "average_precision/after": float(average_precision(labels, after, _once(labels))[0]),
        **_costs(system, pipeline, whole(system, lake, rows, now), unseen),
    }
    newest = recent(system, lake, made.model_version, now)
    shift = shift_of(newest, made)
    moved = np.flatnonzero(shift)
    changed = 0
    if len(moved):
        touched = whole(system, lake, newest[moved], now)
        changed = _changed(system, pipeline, touched, shift[moved])
    measured |= {"decisions": float(len(newest)), "decisions/changed": float(changed)}
    said = list(_said(measured, rule))
    return Judged(
        reasons=tuple(words for holds, words in said if not holds),
        held=tuple(words for holds, words in said if holds),
        metrics={name: value for name, value in measured.items() if value == value},
    )


def _said(measured: Mapping[str, float], rule: Adjusting) -> list[tuple[bool, str]]:
    before, after = (measured[f"average_precision/{when}"] for when in ("before", "after"))
    allowed = max(FEW_CHANGES, int(rule.most_changed * measured["decisions"]))
    said = [
        (
            # Without a fraud among the labels there is no precision to lose.
            not after < before - rule.tolerance,
            f"average precision of unseen labels {before:.3f} before, {after:.3f} after",
        ),
        (
            measured["decisions/changed"] <= allowed,
            f"{measured['decisions/changed']:.0f} of {measured['decisions']:.0f} recent decisions "
            f"change, at most {allowed}",
        ),
    ]
    if "cost/after" in measured:
        cost, then = measured["cost/before"], measured["cost/after"]
        said.append(
            (
                then <= cost + rule.tolerance * abs(cost),
                f"cost of unseen labels {cost:.2f} before, {then:.2f} after",
            )
        )
    return said


def _unseen(rows: pl.DataFrame, rule: Adjusting, made: Adjustments, now: datetime) -> Array:
    """Shift of each labelled row as learned from the other folds."""
    # By prediction, not by position: a row stays in its fold when others come.
    fold = rows["prediction_id"].hash(0).to_numpy() % FOLDS
    total = np.zeros(len(rows))
    for number in range(FOLDS):
        inside = fold == number
        if not inside.any() or inside.all():
            continue
        learned = Adjustments(
            system=made.system, number=made.number, model_version=made.model_version,
            made_at=made.made_at, half_life_hours=made.half_life_hours,
            shifts=shifts(rows.filter(~inside), rule, now),
        )  # fmt: skip
        total[inside] = shift_of(rows.filter(inside), learned)
    return total


def _costs(
    system: System, pipeline: Pipeline, rows: pl.DataFrame, shift: Array
) -> dict[str, float]:
    if system.cost is None:
        return {}
    decided = _decided(system, pipeline, rows, shift)
    if decided is None:
        return {}
    costs = [
        system.cost(
            rows.select("label", "request").with_columns(decision=pl.Series(each, dtype=pl.String))
        ).sum()
        for each in decided
    ]
    return {"cost/before": float(costs[0]), "cost/after": float(costs[1])}


def _changed(system: System, pipeline: Pipeline, rows: pl.DataFrame, shift: Array) -> int:
    decided = _decided(system, pipeline, rows, shift)
    return int((decided[0] != decided[1]).sum()) if decided else len(rows)


def _decided(
    system: System, pipeline: Pipeline, rows: pl.DataFrame, shift: Array
) -> tuple[Array, Array] | None:
    """Decisions on logged requests without and with a shift; None for a system without any."""
    features = {each.id: used(rows, each) for each in system.feature_sets}
    columns = columns_of(joined(system, requests_of(system, rows), features))
    matrix = pipeline.decode(columns)
    inferred = pipeline.infer(matrix)
    moved = Inferred(shifted(inferred.scores, shift), inferred.tiers, inferred.skipped)
    before = pipeline.decide(inferred, matrix, columns)
    after = pipeline.decide(moved, matrix, {**columns, SHIFT: shift})
    if "decision" not in before:
        return None
    return np.array(before["decision"], object), np.array(after["decision"], object)


def _once(labels: Array) -> Array:
    return np.ones((1, len(labels)))
