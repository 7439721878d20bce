"""What a Predictor tells of its answers to whoever counts them.

The Predictor knows no metrics library; `agora.serving.metrics` implements this protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Observer(Protocol):
    """Is called on the path of each answer: it must be quick and must not raise."""

    def answered(
        self,
        latencies: Mapping[str, int],
        tier: str,
        decision: str | None,
        fallbacks: Sequence[str],
    ) -> None:
        """A request was answered and logged.

        Args:
            latencies: Nanoseconds by stage of the budgets; `inference/<tier>` for its parts.
            tier: Tier that gave the score.
            decision: The decision, for systems that decide.
            fallbacks: What did not answer; empty unless the answer is degraded.
        """
        ...

    def repeated(self, source: str) -> None:
        """A request was answered before and got the same answer again; not logged twice.

        Args:
            source: Cache that held it: `process` or `store`.
        """
        ...

    def breaker_changed(self, name: str, state: str) -> None:
        """A circuit breaker changed its state.

        Args:
            name: What it guards: `store`, or the name of a tier.
            state: `closed`, `open` or `half-open`.
        """
        ...


class NullObserver:
    """Counts nothing."""

    def answered(
        self,
        latencies: Mapping[str, int],
        tier: str,
        decision: str | None,
        fallbacks: Sequence[str],
    ) -> None:
        """Nothing is kept."""

    def repeated(self, source: str) -> None:
        """Nothing is kept."""

    def breaker_changed(self, name: str, state: str) -> None:
        """Nothing is kept."""
