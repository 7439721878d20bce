"""Budgets as code: declared once per system in `budgets.yml`, read by all that measure or alert.

Three numbers that are not the same: the *budget* is what is promised, and what alerts and checks
hold live answers against; `give_up` times it is when a running stage is left behind and the next
rung answers; `gate` times as slow as the version that serves is what a new one may be at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Positive = Annotated[float, Field(gt=0)]


class Budgets(BaseModel):
    """What a system may take, and what it must keep to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    p99_ms: Positive = Field(description="Latency at the 99th percentile, on one core.")
    stages_ms: dict[str, Positive] = Field(description="The same by stage; they add up to it.")
    tiers_ms: dict[str, Positive] = Field(
        default_factory=dict,
        description="The same by tier of the cascade, each a part of `inference`.",
    )
    give_up: float = Field(
        default=1.0,
        ge=1,
        description="Times its budget after which a stage or a tier is given up.",
    )
    gate: float = Field(
        default=3.0,
        gt=1,
        description="Times as slow as the version that serves, at which a new one is refused.",
    )
    goal_p99_ms: Positive = Field(description="What we aim at, far below the budget.")
    cpu_ratio: Positive = Field(description="CPU per request over a bare app that does the same.")
    availability: float = Field(gt=0, lt=1, description="Share of requests answered, by month.")
    degraded_share: float = Field(ge=0, lt=1, description="Share of answers that may be degraded.")
    freshness_hours: Positive = Field(description="Age of the newest features at most.")
    cost_per_prediction_usd: Positive = Field(description="Machine time per answer.")

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        total = sum(self.stages_ms.values())
        if abs(total - self.p99_ms) > 1e-6:
            raise ValueError(f"the stages add up to {total:g} ms, p99_ms says {self.p99_ms:g}")
        if self.goal_p99_ms > self.p99_ms:
            raise ValueError("goal_p99_ms lies above p99_ms")
        return self

    def give_up_seconds(self, stage: str) -> float | None:
        """When a stage, `inference/<tier>` or the `total` is given up; None: it has no budget."""
        budget = limits(self).get(stage)
        return None if budget is None else budget * self.give_up / 1e3


@dataclass(frozen=True, slots=True)
class Overrun:
    """A stage, a tier or the whole answer whose 99th percentile lies above its budget."""

    stage: str
    p99_ms: float
    budget_ms: float

    def __str__(self) -> str:
        return f"{self.stage}: p99 {self.p99_ms:.1f} ms, budget {self.budget_ms:g} ms"


TOTAL = "total"
NOTICED = 0.1
"""Share of its budget below which nobody waits for a stage."""
TIER = "inference/"
"""What a tier's stage is called in the prediction log: `inference/<tier>`."""


def limits(budgets: Budgets) -> dict[str, float]:
    """Milliseconds by what is measured: stages, tiers and the total."""
    tiers = {f"{TIER}{tier}": limit for tier, limit in budgets.tiers_ms.items()}
    return {**budgets.stages_ms, **tiers, TOTAL: budgets.p99_ms}


def overruns(budgets: Budgets, p99_ms: Mapping[str, float]) -> list[Overrun]:
    """What lies above its budget, the worst first; what has no budget is not judged.

    Args:
        budgets: The system's.
        p99_ms: 99th percentile in milliseconds by stage, `inference/<tier>` and `total`.
    """
    allowed = limits(budgets)
    over = [
        Overrun(stage, found, allowed[stage])
        for stage, found in p99_ms.items()
        if stage in allowed and found > allowed[stage]
    ]
    return sorted(over, key=lambda each: each.budget_ms / each.p99_ms)


def slow(budgets: Budgets, own: Mapping[str, float], serving: Mapping[str, float]) -> list[str]:
    """Why a version is too slow to be deployed; none when it is not.

    Over its budget by itself, unless the version that serves is so too, on the same machine in the
    same minute; or `gate` times as slow as that one, where that is a noticeable part of its budget.

    Args:
        budgets: The system's.
        own: Its own time in milliseconds by stage, `inference/<tier>` and `total`.
        serving: The same of the version that serves; empty where there is none.
    """
    reasons = []
    for stage, budget in limits(budgets).items():
        found, before = own.get(stage, 0.0), serving.get(stage)
        if found > budget and (before is None or before <= budget):
            reasons.append(f"{stage}: {found:.1f} ms, budget {budget:g} ms")
        elif before and found > budgets.gate * before and found > NOTICED * budget:
            reasons.append(
                f"{stage}: {found:.1f} ms, {found / before:.1f} times the version that serves"
            )
    return reasons


def load_budgets(path: Path) -> Budgets:
    """Read and check a system's `budgets.yml`."""
    return Budgets.model_validate(yaml.safe_load(path.read_text()))
