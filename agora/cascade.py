"""Cascades: tiers of models, cheapest first, each for the rows that those before it left open.

A cascade is a generator (`steps`), so that the code around it decides how a tier is run: in a
batch it is called, in a service it is timed, given a budget, or awaited on another machine. A tier
that does not answer is skipped with all after it: its rows keep the scores that they have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Sequence

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a tier says of the rows that it was given.

    Attributes:
        scores: Calibrated scores, (n,).
        is_open: Rows that the next tier should look at, (n,) bool.
    """

    scores: Array
    is_open: Array


class Tier(Protocol):
    """One model of a cascade."""

    @property
    def name(self) -> str:
        """Stable, a short word: it names a stage of the budgets and a value of metrics."""
        ...

    def score(self, matrix: Array, scores: Array) -> Verdict:
        """Judge rows.

        Args:
            matrix: Decoded rows, (n, width).
            scores: What the tier before gave them, (n,); NaN for the first tier.
        """
        ...


@dataclass(frozen=True, slots=True)
class OneModel:
    """The only tier of a pipeline that has no cascade."""

    scorer: Callable[[Array], Array]
    name: str = "model"

    def score(self, matrix: Array, scores: Array) -> Verdict:
        """The model's scores, which are final."""
        return Verdict(self.scorer(matrix), np.zeros(len(matrix), bool))


@dataclass(frozen=True, slots=True)
class Step:
    """A tier to be run on some rows."""

    tier: Tier
    matrix: Array
    scores: Array

    def run(self) -> Verdict:
        """Call the tier here and now."""
        return self.tier.score(self.matrix, self.scores)


@dataclass(frozen=True, slots=True)
class Inferred:
    """Scores of n rows and where they come from.

    Attributes:
        scores: Calibrated scores, (n,).
        tiers: Index of the tier that gave each score, (n,).
        skipped: Names of tiers that were wanted and did not answer.
    """

    scores: Array
    tiers: Array
    skipped: tuple[str, ...] = ()

    @classmethod
    def of(cls, scores: Array) -> Inferred:
        """Scores of a pipeline with one model."""
        return cls(scores, np.zeros(len(scores), np.int8))


def steps(tiers: Sequence[Tier], matrix: Array) -> Generator[Step, Verdict | None, Inferred]:
    """Run a cascade: yields each step, is sent its verdict or None when the tier did not answer."""
    n = len(matrix)
    scores, by = np.full(n, np.nan), np.zeros(n, np.int8)
    rows = np.arange(n)
    for number, tier in enumerate(tiers):
        if not len(rows):
            break
        # One request is the common case: nothing is copied for it.
        part = matrix if len(rows) == n else matrix[rows]
        verdict = yield Step(tier, part, scores[rows])
        if verdict is None:
            return Inferred(scores, by, (tier.name,))
        scores[rows], by[rows] = verdict.scores, number
        rows = rows[verdict.is_open]
    return Inferred(scores, by)


def infer(tiers: Sequence[Tier], matrix: Array, skipped: Collection[str] = ()) -> Inferred:
    """Run a cascade in this process; what a tier raises is raised.

    Args:
        tiers: Cheapest first.
        matrix: Decoded rows.
        skipped: Names of tiers that are to be taken as not answering, as in a replay.
    """
    run = steps(tiers, matrix)
    try:
        step = next(run)
        while True:
            step = run.send(None if step.tier.name in skipped else step.run())
    except StopIteration as done:
        found: Inferred = done.value
        return found
