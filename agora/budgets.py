"""Budgets as code: declared once per system in `budgets.yml`, read by all that measure or alert."""

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
        description="Time after which a tier of the cascade is given up; the next rung answers.",
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


@dataclass(frozen=True, slots=True)
class Overrun:
    """A stage, a tier or the whole answer that took longer than its budget."""

    stage: str
    p99_ms: float
    budget_ms: float

    def __str__(self) -> str:
        return f"{self.stage}: p99 {self.p99_ms:.1f} ms, budget {self.budget_ms:g} ms"


TOTAL = "total"
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


def load_budgets(path: Path) -> Budgets:
    """Read and check a system's `budgets.yml`."""
    return Budgets.model_validate(yaml.safe_load(path.read_text()))
