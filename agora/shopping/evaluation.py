"""How models would order the lists that were shown.

Rows are lists of which something was taken. A click far down counts for the looks that it lacked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agora.evaluation import Estimate, Report, Scored, bootstrap, compare
from agora.metrics import mean
from agora.ranking.metrics import average_precision, judge, ndcg, reciprocal_rank

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agora.dataset import TrainingSet
    from agora.ranking.metrics import Judged
    from agora.shopping.lists import Lists

Array = np.ndarray[Any, Any]

PRIMARY, DEPTH = "ndcg_at_10", 10


def compare_lists(
    training_set: TrainingSet,
    lists: Lists,
    rows: Array,
    gains: Array,
    scores: Mapping[str, Array],
    *,
    places: int,
    slices: Callable[[Array], dict[str, Array]],
    importance: dict[str, float],
) -> Report:
    """The report of models that score what was shown.

    Args:
        training_set: Whose test span the lists are.
        lists: The lists.
        rows: Shown products that are judged; ties stay in this order, (n,).
        gains: What each shown product is worth, (m,).
        scores: By model, of each shown product, (m,).
        places: Of a list.
        slices: From the rows of the judged lists to the slices that they are in.
        importance: Of the candidate.
    """
    useful = np.unique(lists.request[rows][gains[rows] > 0])
    place = np.full(len(lists), -1)
    place[useful] = np.arange(len(useful))
    rows = rows[place[lists.request[rows]] >= 0]
    groups = place[lists.request[rows]]
    return compare(
        training_set.manifest.system,
        {
            name: _scored(judge(groups, each[rows], gains[rows], places))
            for name, each in scores.items()
        },
        np.ones(len(useful)),
        np.unique(lists.customers[useful], return_inverse=True)[1],
        # Each row is a list whose score is its own nDCG.
        {PRIMARY: lambda labels, values, draws: mean(values, draws)},
        primary=PRIMARY,
        slices=slices(useful),
        importance=importance,
        spans={
            name: (span.start.isoformat(), span.end.isoformat())
            for name, span in training_set.manifest.spans.items()
        },
    )


def estimate(values: Array, groups: Array) -> Estimate:
    """Mean of what is known of some lists, with its interval over their customers.

    Args:
        values: Of each list, NaN where it is not known, (n,).
        groups: Code of each list's customer, (n,).
    """
    kept = np.flatnonzero(np.isfinite(values))
    if not len(kept):
        return Estimate(float("nan"), float("nan"), float("nan"))
    codes = np.unique(groups[kept], return_inverse=True)[1]
    return Estimate.of(np.concatenate([mean(values[kept], draw) for draw in bootstrap(codes)]))


def _scored(judged: Judged) -> Scored:
    return Scored(
        ndcg(judged, DEPTH),
        {
            "map_at_10": average_precision(judged, DEPTH),
            "reciprocal_rank": reciprocal_rank(judged, DEPTH),
        },
    )
