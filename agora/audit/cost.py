"""What a prediction costs, computed from what was measured.

An answer keeps one core busy for the sum of its stages. A core is paid for whether it is busy or
not, so it is charged at the share of time that it may be busy while latency holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agora.stores.lake import Lake
    from agora.system import System


@dataclass(frozen=True, slots=True)
class Prices:
    """What a machine costs, and how full it is run."""

    core_hour_usd: float = 0.05  # On-demand price of a core with 4 GiB, rounded up.
    busy_share: float = 0.4  # Above it queues grow: p99 of one core doubles.


@dataclass(frozen=True, slots=True)
class CostSheet:
    """Cost of a system's predictions.

    Attributes:
        system: Whose.
        answers: Live answers that were measured.
        milliseconds: Mean time of one core per answer.
        answers_per_core_second: What one core can answer at `busy_share`.
        usd_per_prediction: Machine time per answer.
        budget_usd: What the system's budgets allow.
        stages_usd: The same by stage, the dearest first.
    """

    system: str
    answers: int
    milliseconds: float
    answers_per_core_second: float
    usd_per_prediction: float
    budget_usd: float
    stages_usd: dict[str, float]

    @property
    def within_budget(self) -> bool:
        """Whether a prediction costs at most what it may."""
        return self.usd_per_prediction <= self.budget_usd

    def markdown(self) -> str:
        """The sheet as a table."""
        lines = [
            f"{self.system}: {self.usd_per_prediction:.2e} USD a prediction "
            f"(budget {self.budget_usd:g}), from {self.answers:,} answers of "
            f"{self.milliseconds:.2f} ms; one core answers {self.answers_per_core_second:,.0f} "
            "a second",
            "",
            "| stage | USD a million |",
            "|---|---|",
        ]
        lines += [f"| {stage} | {1e6 * usd:.4f} |" for stage, usd in self.stages_usd.items()]
        return "\n".join(lines)


def cost_sheet(system: System, lake: Lake, prices: Prices | None = None) -> CostSheet:
    """The cost of a system's live predictions so far.

    Raises:
        LookupError: Nothing has been answered yet.
    """
    prices = prices or Prices()
    table = f"predictions/{system.name}"
    if not lake.exists(table) or not (answers := lake.table(table).count()):
        raise LookupError(f"{system.name}: no answer has been logged yet")
    means = lake.query(f"""
        select stage, sum(nanoseconds) / {answers} / 1e6 as ms
        from (
            select unnest(latencies, recursive := true) from predictions."{system.name}"
        )
        where not contains(stage, '/')
        group by stage order by ms desc
    """)
    usd_per_ms = prices.core_hour_usd / 3.6e6 / prices.busy_share
    total = float(means["ms"].sum())
    return CostSheet(
        system=system.name,
        answers=answers,
        milliseconds=total,
        answers_per_core_second=1e3 / total * prices.busy_share,
        usd_per_prediction=total * usd_per_ms,
        budget_usd=system.budgets.cost_per_prediction_usd,
        stages_usd={stage: ms * usd_per_ms for stage, ms in means.iter_rows()},
    )
