"""A toy system with a cascade of three tiers, each of which can be made to fail."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from agora.budgets import Budgets
from agora.cascade import Tier, Verdict
from tests.toy_system import ToyPipeline, toy_system

if TYPE_CHECKING:
    from pathlib import Path

BUDGETS = Budgets(
    p99_ms=1_000, stages_ms={"feature_lookup": 100, "inference": 900},
    tiers_ms={"rules": 50, "light": 100, "deep": 200}, goal_p99_ms=100, cpu_ratio=2,
    availability=0.999, degraded_share=0.01, freshness_hours=26, cost_per_prediction_usd=0.01,
)  # fmt: skip
SCORES = {"rules": 0.1, "light": 0.2, "deep": 0.3}
SYSTEM = replace(toy_system(), budgets=BUDGETS)


@dataclass
class Rung:
    """A tier with a score of its own, that raises or sleeps when told to.

    Attributes:
        name: Its name.
        error: What it raises.
        seconds: How long it takes.
        score_: What it says.
        calls: How often it was run.
    """

    name: str
    error: Exception | None = None
    seconds: float = 0.0
    score_: float = field(init=False)
    calls: int = 0

    def __post_init__(self) -> None:
        self.score_ = SCORES[self.name]

    def score(self, matrix: Any, scores: Any) -> Verdict:
        self.calls += 1
        time.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return Verdict(np.full(len(matrix), self.score_), np.ones(len(matrix), bool))


class Ladder(ToyPipeline):
    """Every request is open after each tier."""

    def __init__(self, version: str = "1") -> None:
        super().__init__(version)
        self.rules, self.light, self.deep = Rung("rules"), Rung("light"), Rung("deep")

    @property
    def tiers(self) -> tuple[Tier, ...]:
        return (self.rules, self.light, self.deep)

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(ToyPipeline.load(folder).version)


LADDER = replace(SYSTEM, load=Ladder.load)
"""The system, whose saved pipeline is read again as a cascade."""
