"""What decisions cost, and the score thresholds that cost least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

DECISIONS = ("approve", "review", "decline")


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of a decision, in the currency of the amounts."""

    review: float = 3.0  # A few minutes of an analyst.
    chargeback_fee: float = 15.0  # What the card network takes on top of the amount.
    margin: float = 0.10  # Share of the amount earned, lost when an honest payment is declined.
    goodwill: float = 5.0  # The honest customer who was declined and does not come back.
    caught: float = 0.9  # Share of frauds that an analyst recognises.

    def of(self, is_fraud: Array, amount: Array) -> Array:
        """Cost of each payment under each of `DECISIONS`, (3, n)."""
        loss = is_fraud * (amount + self.chargeback_fee)
        return np.stack(
            [
                loss,
                self.review + (1 - self.caught) * loss,
                (1 - is_fraud) * (self.margin * amount + self.goodwill),
            ]
        )


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Scores from which a payment is reviewed, and declined."""

    review: float
    decline: float

    def levels(self, scores: Array) -> Array:
        """Index into `DECISIONS` for each score."""
        return (scores >= self.review).astype(np.int64) + (scores >= self.decline)


def cheapest_thresholds(scores: Array, is_fraud: Array, amount: Array, costs: Costs) -> Thresholds:
    """The thresholds with the least total cost on these payments; exact, by sorting once.

    In order of the score, the first i payments are approved, those from j on declined. The total
    splits into a part that depends on i and one that depends on j, each with its own minimum.
    """
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    totals = np.zeros((3, len(order) + 1))
    np.cumsum(costs.of(is_fraud[order], amount[order]), axis=1, out=totals[:, 1:])
    approve, review, decline = totals
    # Equal scores cannot be parted.
    cuts = np.flatnonzero(np.concatenate([[True], ordered[1:] > ordered[:-1], [True]]))
    first = int(cuts[np.argmin((approve - review)[cuts])])
    last = int(cuts[np.argmin((review - decline)[cuts])])
    if first > last:
        first = last = int(cuts[np.argmin((approve - decline)[cuts])])
    return Thresholds(_between(ordered, first), _between(ordered, last))


def _between(ordered: Array, cut: int) -> float:
    """A threshold between the payments before the cut and those after it."""
    if cut == len(ordered):
        return float("inf") if not cut else float(np.nextafter(max(ordered[-1], 1.0), 2.0))
    return float(ordered[cut])
