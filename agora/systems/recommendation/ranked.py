"""From scores to each request's best candidates, and what is beside them because it is new."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from agora.systems.recommendation.features import NEW
from agora.systems.recommendation.tiers import ITEM, REQUEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agora.candidates import Candidates
    from agora.cascade import Inferred

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Ranked:
    """Candidates of one request, best first.

    Attributes:
        items: Rows of the index, (m,).
        scores: Descending, (m,).
        found: What each strategy gave them, NaN where it did not find one, (m,) each.
    """

    items: Array
    scores: Array
    found: Mapping[str, Array]

    @classmethod
    def of(cls, found: Candidates, scores: Array, best: Array, new: Array) -> Self:
        """The best of what was found, and behind them what is here because it is new.

        Args:
            found: Candidates of all requests, (n,).
            scores: Of each, (n,).
            best: Rows of one request's best, best first.
            new: Rows of those of its others that are new, in order.
        """
        rows = np.concatenate([best, new])
        # Another ranker's scores mean something else: these stand below all others.
        below = np.full(len(new), scores[best].min(initial=np.inf))
        kept = np.concatenate([scores[best], below])
        return cls(found.item[rows], kept, {name: by[rows] for name, by in found.scores.items()})


def rank(
    found: Candidates, inferred: Inferred, matrix: Array, requests: int, most: int
) -> Iterator[tuple[Ranked, int]]:
    """Each request's best candidates, and the number of the ranker that ordered them.

    Args:
        found: Candidates of all requests, (n,).
        inferred: What the rankers said of each.
        matrix: What they were told, (n, width).
        requests: How many there are.
        most: Candidates of a request that are kept.
    """
    beside = np.zeros(len(found), bool)
    if NEW in found.scores:
        beside = np.isfinite(found.scores[NEW])
    edges = np.searchsorted(matrix[:, REQUEST], np.arange(requests + 1))
    for start, end in pairwise(edges.tolist()):
        tiers = inferred.tiers[start:end]
        # What the trees saw stands above what they did not, of which few are looked at.
        tier = int(tiers.max(initial=0))
        best = _ordered(start + np.flatnonzero(tiers == tier), inferred, matrix)[:most]
        beside[best] = False
        new = _ordered(start + np.flatnonzero(beside[start:end]), inferred, matrix)
        yield Ranked.of(found, inferred.scores, best, new), tier


def _ordered(rows: Array, inferred: Inferred, matrix: Array) -> Array:
    """Rows by ranker and score, ties by the item's row."""
    keys = (matrix[rows, ITEM], -inferred.scores[rows], -inferred.tiers[rows].astype(int))
    return np.asarray(rows[np.lexsort(keys)])
