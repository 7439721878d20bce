"""The gate: what a report must say before its candidate may serve."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agora.evaluation import CANDIDATE, CHAMPION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agora.evaluation import Report


@dataclass(frozen=True, slots=True)
class GateResult:
    """Whether a candidate may serve.

    Attributes:
        passed: Whether every condition holds.
        reasons: What does not hold, in words; empty when passed.
        held: What holds, in words.
    """

    passed: bool
    reasons: tuple[str, ...]
    held: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a report must say before its candidate may serve.

    Attributes:
        baselines: Models that the candidate must beat: the whole interval of its lead above zero.
        parts: Models that the candidate is made of: it must not be worse than one of them, neither
            for certain (the whole interval of its lead below zero) nor by more than the tolerance.
        tolerance: How much worse than the champion the candidate may be in the primary metric.
        at_most: Metric to its largest value, as for calibration error.
        fewest_positives: Positives in the test rows below which nothing can be said.
    """

    baselines: tuple[str, ...]
    tolerance: float
    at_most: Mapping[str, float] = field(default_factory=dict)
    fewest_positives: int = 20
    parts: tuple[str, ...] = ()

    def check(self, report: Report) -> GateResult:
        """Judge a report."""
        if report.positives < self.fewest_positives:
            reason = (
                f"the test span has {report.rows:,} rows with {report.positives} positives; "
                f"at least {self.fewest_positives} positives are needed"
            )
            return GateResult(False, (reason,), ())
        said = [*self._leads(report), *self._limits(report)]
        reasons = tuple(words for holds, words in said if not holds)
        return GateResult(not reasons, reasons, tuple(words for holds, words in said if holds))

    def _leads(self, report: Report) -> Iterator[tuple[bool, str]]:
        for baseline in self.baselines:
            lead = report.differences.get(baseline)
            if lead is None:
                yield False, f"the report lacks the baseline {baseline}"
            else:
                yield lead.low > 0, f"{report.primary}: lead over {baseline} {lead}"
        for part in self.parts:
            # A candidate may have fewer parts than others of its system.
            if lead := report.differences.get(part):
                held = lead.high >= 0 and lead.value >= -self.tolerance
                yield held, f"{report.primary}: lead over its part {part} {lead}"
        if champion := report.differences.get(CHAMPION):
            words = f"{report.primary}: lead over the champion {champion}"
            yield champion.value >= -self.tolerance, f"{words}, tolerance {self.tolerance:g}"

    def _limits(self, report: Report) -> Iterator[tuple[bool, str]]:
        for name, limit in self.at_most.items():
            value = report.metrics[CANDIDATE][name].value
            # Not a number fails: it compares false.
            yield value <= limit, f"{name}: {value:.4f}, at most {limit:g}"
