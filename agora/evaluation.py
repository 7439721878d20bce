"""Evaluation: a report of a candidate against baselines and champion; `agora.gate` judges it.

Intervals are 95 % bootstrap intervals over groups (customers, days): rows of one customer are not
independent. All models see the same draws, so their differences are paired.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self, TypeAlias

import numpy as np

from agora.metrics import mean, precision_recall, reliability

Array = np.ndarray[Any, Any]

CANDIDATE = "candidate"
CHAMPION = "champion"
MOST_DRAWS, FEWEST_DRAWS = 200, 40
# Bounds time (a few seconds a metric) and memory (32 MB an array).
CELLS, CELLS_AT_ONCE = 60_000_000, 4_000_000
SEED = 20_180_401
NOTHING = np.array([np.nan])
# A share of so few positives is noise.
SLICE_POSITIVES = 5
MOST_VALUES = 8


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"

    @classmethod
    def of(cls, draws: Array) -> Self:
        """The first draw is the value, the others are resampled."""
        resampled = draws[1:][np.isfinite(draws[1:])]
        low, high = np.quantile(resampled, [0.025, 0.975]) if len(resampled) else (np.nan, np.nan)
        return cls(float(draws[0]), float(low), float(high))


Metric: TypeAlias = Callable[[Array, Array, Array], Array]
"""From labels (n,), scores (n,) and weights (draws, n) to one value per draw; see `metrics`."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A model's answers on the test rows.

    Attributes:
        scores: What ranks the rows.
        values: Further values per row, reported as means: costs, shares of decisions.
    """

    scores: Array
    values: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Slice:
    """The candidate's primary metric on a part of the test rows."""

    name: str
    value: str
    rows: int
    positives: int
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is known of a candidate before it may serve.

    Attributes:
        system: Whose it is.
        primary: Metric that the gate compares; larger is better.
        metrics: Model to metric to estimate; `candidate`, baselines, `champion`.
        differences: Model to the candidate's lead over it in the primary metric, paired.
        slices: Parts of the test rows.
        reliability: Predicted and observed share by bin of the candidate's score.
        curves: Model to its precision-recall curve.
        importance: Share of each input in what the candidate learned, largest first.
        rows: Test rows.
        positives: Test rows whose label is positive.
        spans: First and last time of each span.
    """

    system: str
    primary: str
    metrics: dict[str, dict[str, Estimate]]
    differences: dict[str, Estimate]
    slices: list[Slice]
    reliability: list[dict[str, float]]
    curves: dict[str, dict[str, list[float]]]
    importance: dict[str, float]
    rows: int
    positives: int
    spans: dict[str, tuple[str, str]]

    def to_json(self) -> str:
        """The report as JSON."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        fields["metrics"] = {
            model: {name: Estimate(**estimate) for name, estimate in metrics.items()}
            for model, metrics in fields["metrics"].items()
        }
        fields["differences"] = {m: Estimate(**e) for m, e in fields["differences"].items()}
        fields["slices"] = [
            Slice(**{**part, "estimate": Estimate(**part["estimate"])}) for part in fields["slices"]
        ]
        fields["spans"] = {name: tuple(span) for name, span in fields["spans"].items()}
        return cls(**fields)

    def markdown(self) -> str:
        """Metrics by model, then the slices, as tables."""
        names = list(self.metrics[CANDIDATE])
        lines = [
            f"{self.rows:,} rows, {self.positives:,} positive. 95 % intervals in brackets.",
            "",
            "| model | " + " | ".join(names) + " |",
            "|---" * (len(names) + 1) + "|",
        ]
        for model, metrics in self.metrics.items():
            cells = [str(metrics[name]) if name in metrics else "" for name in names]
            lines.append(f"| {model} | " + " | ".join(cells) + " |")
        lines += ["", f"| slice | rows | positive | {self.primary} |", "|---" * 4 + "|"]
        lines += [
            f"| {part.name} {part.value} | {part.rows:,} | {part.positives:,} | {part.estimate} |"
            for part in self.slices
        ]
        return "\n".join(lines)


def compare(
    system: str,
    models: Mapping[str, Scored],
    labels: Array,
    groups: Array,
    metrics: Mapping[str, Metric],
    *,
    primary: str,
    slices: Mapping[str, Array],
    importance: dict[str, float],
    spans: dict[str, tuple[str, str]],
) -> Report:
    """The report of models on one set of test rows.

    Args:
        system: Whose they are.
        models: `candidate` and others.
        labels: 0 or 1 per row.
        groups: Group of each row, codes from 0: what is resampled as a whole.
        metrics: Metrics of the scores, the primary among them.
        primary: The one that the gate compares.
        slices: Name to the value of each row.
        importance: Of the candidate's inputs.
        spans: Times, for the reader.
    """
    parts = _parts(labels, slices)
    candidate = models[CANDIDATE].scores
    drawn: dict[tuple[str, str], list[Array]] = defaultdict(list)
    sliced: list[list[Array]] = [[] for _ in parts]
    for weights in bootstrap(groups):
        for model, scored in models.items():
            for name, metric in metrics.items():
                drawn[model, name].append(
                    metric(labels, scored.scores, weights) if len(labels) else NOTHING
                )
            for name, values in scored.values.items():
                drawn[model, name].append(mean(values, weights) if len(labels) else NOTHING)
        for estimates, (_, _, rows) in zip(sliced, parts, strict=True):
            part = metrics[primary](labels[rows], candidate[rows], weights[:, rows])
            estimates.append(part)
    joined = {key: np.concatenate(found) for key, found in drawn.items()}
    return Report(
        system=system,
        primary=primary,
        metrics={
            model: {name: Estimate.of(v) for (of, name), v in joined.items() if of == model}
            for model in models
        },
        differences={
            model: Estimate.of(joined[CANDIDATE, primary] - joined[model, primary])
            for model in models
            if model != CANDIDATE
        },
        slices=[
            Slice(
                name, value, len(rows), int(labels[rows].sum()), Estimate.of(np.concatenate(found))
            )
            for (name, value, rows), found in zip(parts, sliced, strict=True)
        ],
        reliability=reliability(labels, candidate) if len(labels) else [],
        curves={m: precision_recall(labels, s.scores) for m, s in models.items() if len(labels)},
        importance=importance,
        rows=len(labels),
        positives=int(labels.sum()),
        spans=spans,
    )


def bootstrap(groups: Array, seed: int = SEED) -> Iterator[Array]:
    """Weights (draws, n) in chunks that fit into memory; the first draw takes each row once."""
    n = len(groups)
    count = int(groups.max()) + 1 if n else 0
    left = int(np.clip(CELLS // max(n, 1), FEWEST_DRAWS, MOST_DRAWS)) if n else 0
    chunk = max(1, CELLS_AT_ONCE // max(n, 1))
    generator = np.random.default_rng(seed)
    yield np.ones((1, n))
    while left > 0:
        drawn = generator.multinomial(count, np.full(count, 1 / count), size=min(chunk, left))
        yield drawn.astype(float)[:, groups]
        left -= chunk


def _parts(labels: Array, slices: Mapping[str, Array]) -> list[tuple[str, str, Array]]:
    """Slice name, value and rows, where there are positives enough, largest first.

    Rows whose value is empty belong to no part.
    """
    found = []
    for name, values in slices.items():
        kinds, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
        positives = np.bincount(codes, weights=labels, minlength=len(kinds))
        enough = [
            k for k in np.argsort(-counts) if positives[k] >= SLICE_POSITIVES and str(kinds[k])
        ]
        found += [(name, str(kinds[k]), np.flatnonzero(codes == k)) for k in enough[:MOST_VALUES]]
    return found
