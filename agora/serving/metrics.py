"""Metrics of a service, in Prometheus' text format.

`Metrics` is the `Observer` of a Predictor. The stages of an answer are counted in plain lists and
shown as histograms when they are asked for: nine calls of prometheus-client's own `observe` would
cost more than the whole budget of the gateway. Every label comes from a closed set or is bounded.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from agora.stores.predictions import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from prometheus_client.core import Metric

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
# From a lookup in memory to the point where the caller has gone.
BOUNDS_MS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000)
BOUNDS_NS = tuple(int(bound * 1e6) for bound in BOUNDS_MS)
# What a model or a cache calls itself is not ours to bound: names beyond these count as OTHER.
MOST_NAMES = 64
OTHER = "other"
STATES = {"closed": 0, "half-open": 1, "open": 2}


class Metrics:
    """Counts what one system's service does; the stages' cost is in the decision record."""

    def __init__(self, system: str) -> None:
        self.registry = CollectorRegistry()
        self._stages = Stages(system)
        self._answers: dict[tuple[str, str | None, bool], Any] = {}
        self._names: dict[str, set[str]] = {}
        self._system = system
        self._counted = Counter(
            "agora_answers", "Answers that were given.",
            ["system", "decision", "tier", "degraded"], registry=self.registry,
        )  # fmt: skip
        self._fallbacks = self._counter("fallbacks", "Answers without this part.", "part")
        self._repeats = self._counter("repeats", "Answers given again from a cache.", "source")
        self._refusals = self._counter("refusals", "Requests refused.", "status", "reason")
        self._outcomes = self._counter("outcomes", "Outcomes kept, or known already.", "state")
        self._breakers = Gauge(
            "agora_breaker_state", "0 closed, 1 half-open, 2 open.",
            ["system", "name"], registry=self.registry,
        )  # fmt: skip
        self.registry.register(self._stages)
        ProcessCollector(registry=self.registry)

    def answered(
        self,
        latencies: Mapping[str, int],
        tier: str,
        decision: str | None,
        fallbacks: Sequence[str],
    ) -> None:
        """Count an answer: its stages, and what it was."""
        self._stages.add(latencies)
        kind = (tier, decision, bool(fallbacks))
        counter = self._answers.get(kind)
        if counter is None:
            counter = self._bound(kind)
        counter.inc()
        for part in fallbacks:
            self._fallbacks.labels(self._system, self._known("part", part)).inc()

    def repeated(self, source: str) -> None:
        """Count an answer that was given again."""
        self._repeats.labels(self._system, self._known("source", source)).inc()

    def breaker_changed(self, name: str, state: str) -> None:
        """Keep the state of a breaker."""
        gauge = self._breakers.labels(self._system, self._known("breaker", name))
        gauge.set(STATES.get(state, STATES["open"]))

    def refused(self, status: int, reason: str) -> None:
        """Count a request that got no answer."""
        self._refusals.labels(self._system, str(status), self._known("reason", reason)).inc()

    def page(self, path: str, spent: int) -> None:
        """Count an answer of a further page, as the stage `page/<name>`."""
        self._stages.add({f"page{path}": spent})

    def outcome(self, *, is_new: bool) -> None:
        """Count an outcome that was reported."""
        self._outcomes.labels(self._system, "kept" if is_new else "known").inc()

    def show(self, facts: Callable[[], Iterable[Metric]]) -> None:
        """Add what is looked up only when the metrics are read."""
        self.registry.register(Facts(facts))

    def text(self) -> bytes:
        """All metrics as text."""
        return generate_latest(self.registry)

    def _counter(self, name: str, summary: str, *labels: str) -> Counter:
        return Counter(f"agora_{name}", summary, ["system", *labels], registry=self.registry)

    def _known(self, kind: str, name: str) -> str:
        names = self._names.setdefault(kind, set())
        if name in names:
            return name
        if len(names) >= MOST_NAMES:
            return OTHER
        names.add(name)
        return name

    def _bound(self, kind: tuple[str, str | None, bool]) -> Any:
        tier, decision, degraded = kind
        if len(self._answers) >= MOST_NAMES:
            tier, decision = OTHER, OTHER
        counter = self._counted.labels(
            self._system, decision or "none", tier, "yes" if degraded else "no"
        )
        if len(self._answers) < MOST_NAMES:
            self._answers[kind] = counter
        return counter


class Stages(Collector):
    """Histograms of the stages' time."""

    def __init__(self, system: str) -> None:
        self._system = system
        # By stage: a count per bound, one for what is longer, and the sum in nanoseconds.
        self._counts: dict[str, list[int]] = {}

    def add(self, latencies: Mapping[str, int]) -> None:
        """Count the stages of one answer."""
        counts = self._counts
        for stage, spent in latencies.items():
            row = counts.get(stage)
            if row is None:
                if len(counts) >= MOST_NAMES:
                    stage = OTHER
                row = counts.setdefault(stage, [0] * (len(BOUNDS_NS) + 2))
            row[bisect_left(BOUNDS_NS, spent)] += 1
            row[-1] += spent

    def collect(self) -> Iterable[Metric]:
        """The histograms as they are now."""
        family = HistogramMetricFamily(
            "agora_stage_seconds", "Time of an answer by stage.", labels=["system", "stage"]
        )
        for stage, row in list(self._counts.items()):
            buckets, seen = [], 0
            for bound, count in zip((*BOUNDS_MS, None), row, strict=False):
                seen += count
                buckets.append(("+Inf" if bound is None else str(bound / 1000), seen))
            family.add_metric([self._system, stage], buckets, sum_value=row[-1] / 1e9)
        yield family


class Facts(Collector):
    """What is looked up when the metrics are read."""

    def __init__(self, facts: Callable[[], Iterable[Metric]]) -> None:
        self._facts = facts

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering looks nothing up."""
        return []

    def collect(self) -> Iterable[Metric]:
        """The facts as they are now."""
        return self._facts()


def model_facts(system: str, version: str, log: Path) -> Iterable[Metric]:
    """What is served, and what of its log waits for the drain."""
    info = GaugeMetricFamily(
        "agora_model_info", "Model that answers.", labels=["system", "version"]
    )
    info.add_metric([system, version], 1)
    opened, size = time.time_ns(), 0
    for path in log.glob(f"*{SUFFIX}"):
        # The drain may have taken it meanwhile.
        with suppress(FileNotFoundError):
            size += path.stat().st_size
            opened = min(opened, int(path.name.partition("-")[0]))
    age = GaugeMetricFamily(
        "agora_log_oldest_seconds", "Age of the oldest segment not drained.", labels=["system"]
    )
    age.add_metric([system], (time.time_ns() - opened) / 1e9)
    held = GaugeMetricFamily("agora_log_bytes", "Bytes in the log's segments.", labels=["system"])
    held.add_metric([system], size)
    return info, age, held
