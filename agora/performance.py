"""Performance of what was decided: measured where labels are known, estimated where they are not.

In this order: rows, what labels say (`measured`), what calibrated scores let expect before there
are labels (`estimated`), whether the two agree (`calibration`), and whether a model has decayed.
Labels are 0 or 1, scores are probabilities; rows stand for `weight` rows each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.evaluation import SEED, Estimate, bootstrap
from agora.metrics import average_precision, mean

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = np.ndarray[Any, Any]

FEWEST_POSITIVES = 5
"""Positives below which a metric is not measured."""
DECAY_POSITIVES = 20
"""Positives below which nothing is said of decay; as many as the gate asks for."""
DRAWS = 200
CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Decided rows.

    Attributes:
        scores: Calibrated probabilities.
        weights: Rows that each row stands for: a sample counts for what it was drawn from.
        flagged: Whether the decision treated the row as positive.
        groups: Rows of one group (a customer) are resampled together; codes from 0.
        labels: 0 or 1; NaN where not known.
        costs: Cost of the decision if the label is 0, and if it is 1, (2, n); None where the
            system has no costs.
    """

    scores: Array
    weights: Array
    flagged: Array
    groups: Array
    labels: Array
    costs: Array | None = None

    def take(self, chosen: Array) -> Rows:
        """Some of the rows; groups keep their codes in order."""
        return Rows(
            scores=self.scores[chosen],
            weights=self.weights[chosen],
            flagged=self.flagged[chosen],
            groups=np.unique(self.groups[chosen], return_inverse=True)[1],
            labels=self.labels[chosen],
            costs=None if self.costs is None else self.costs[:, chosen],
        )


def measured(rows: Rows) -> dict[str, Estimate]:
    """What the labels say, with 95 % bootstrap intervals over groups.

    Rows without a label are left out; empty where there are too few positives.
    """
    rows = rows.take(np.flatnonzero(~np.isnan(rows.labels)))
    if rows.labels.sum() < FEWEST_POSITIVES or not _are_binary(rows.labels):
        return {}
    drawn: dict[str, list[Array]] = {}
    for draws in bootstrap(rows.groups):
        weights = draws * rows.weights
        for name, values in _metrics(rows, weights).items():
            drawn.setdefault(name, []).append(values)
    return {name: Estimate.of(np.concatenate(values)) for name, values in drawn.items()}


def estimated(rows: Rows, seed: int = SEED) -> dict[str, Estimate]:
    """What the labels will say, as far as the scores are calibrated.

    Labels are drawn from the scores; the interval holds 95 % of what the metric then comes to. It
    assumes that among rows with score p a share p is positive, independently of each other: a
    changed meaning of the rows (a new scheme) is not seen, and positives that come in bursts vary
    more than this.
    """
    scores = rows.scores
    if not len(scores) or scores.min() < 0 or scores.max() > 1:
        return {}
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    everything = np.cumsum(rows.weights[order])[ends]
    drawn: dict[str, list[Array]] = {}
    for positives in _drawn_labels(rows, seed):
        found = _of_positives(rows, positives)
        true = np.cumsum(positives[:, order], axis=1)[:, ends]
        gained = np.diff(true, axis=1, prepend=0.0)
        found["average_precision"] = _share((gained * true / everything).sum(axis=1), true[:, -1])
        for name, values in found.items():
            drawn.setdefault(name, []).append(values)
    return {
        name: Estimate.of(np.concatenate([[np.nanmean(values)], values]))
        for name, values in ((name, np.concatenate(parts)) for name, parts in drawn.items())
        if np.isfinite(values).any()
    }


def calibration(rows: Rows) -> dict[str, Estimate]:
    """Positives that the scores let expect among labelled rows, with their interval; observed ones.

    Observed ones outside of the interval: the scores are not calibrated, or positives come in
    bursts.
    """
    rows = rows.take(np.flatnonzero(~np.isnan(rows.labels)))
    if not len(rows.labels) or not _are_binary(rows.labels):
        return {}
    observed = float(rows.weights @ rows.labels)
    expected = estimated(rows).get("positives")
    return {
        "observed_positives": Estimate(observed, math.nan, math.nan),
        **({"expected_positives": expected} if expected else {}),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Decay:
    """Whether a model has become worse than it was when it was evaluated.

    Attributes:
        metric: What is compared; larger is better.
        measured: On labelled predictions.
        reported: In the report with which it became champion.
        positives: Positives among these predictions.
        decayed: Whether the whole interval lies below the report's.
    """

    metric: str
    measured: Estimate
    reported: Estimate
    positives: int
    decayed: bool

    @property
    def judged(self) -> bool:
        """Whether there were labels enough to say anything."""
        return self.positives >= DECAY_POSITIVES


def decay(metric: str, rows: Rows, reported: Estimate) -> Decay:
    """Compare labelled rows with the champion's report.

    Two 95 % intervals of similar width that do not touch happen by chance in less than 1 % of
    comparisons, half of these upwards.
    """
    positives = int((rows.weights * np.nan_to_num(rows.labels)).sum())
    found = measured(rows).get(metric, Estimate(math.nan, math.nan, math.nan))
    enough = positives >= DECAY_POSITIVES
    return Decay(
        metric=metric,
        measured=found,
        reported=reported,
        positives=positives,
        decayed=enough and found.high < reported.low,
    )


def _metrics(rows: Rows, weights: Array) -> dict[str, Array]:
    """Each metric under each draw's weights (draws, n)."""
    positive, flagged = rows.labels, rows.flagged.astype(float)
    found = {"average_precision": average_precision(positive, rows.scores, weights)}
    if flagged.any():
        true = weights @ (positive * flagged)
        found["precision"] = _share(true, weights @ flagged)
        found["recall"] = _share(true, weights @ positive)
    if rows.costs is not None:
        costs = np.where(positive > 0, rows.costs[1], rows.costs[0])
        found["cost"] = mean(costs, weights)
    return found


def _of_positives(rows: Rows, positives: Array) -> dict[str, Array]:
    """Metrics that need no order, of drawn positives (draws, n)."""
    flagged = rows.flagged.astype(float)
    total = positives.sum(axis=1)
    found = {"positives": total}
    if flagged.any():
        true = positives @ flagged
        found["precision"] = true / (rows.weights @ flagged)
        found["recall"] = _share(true, total)
    if rows.costs is not None:
        negative, positive = rows.costs
        usual = rows.weights @ negative
        found["cost"] = (usual + positives @ (positive - negative)) / rows.weights.sum()
    return found


def _drawn_labels(rows: Rows, seed: int) -> Iterator[Array]:
    """Positives that each row stands for (draws, n), in chunks that fit into memory."""
    generator = np.random.default_rng(seed)
    single = rows.weights == 1.0
    chunk, left = max(1, CELLS_AT_ONCE // len(rows.scores)), DRAWS
    while left > 0:
        shape = (min(chunk, left), len(rows.scores))
        found = (generator.random(shape) < rows.scores).astype(float)
        # A row that stands for many has the small score of what is sampled: Poisson.
        means = (rows.weights * rows.scores)[~single]
        found[:, ~single] = generator.poisson(means, (shape[0], len(means)))
        yield found
        left -= chunk


def _are_binary(labels: Array) -> bool:
    return bool(np.isin(labels, (0.0, 1.0)).all())


def _share(part: Array, whole: Array) -> Array:
    share = np.full(len(whole), np.nan)
    return np.asarray(np.divide(part, whole, out=share, where=whole > 0))
