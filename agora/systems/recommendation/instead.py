"""What would have been shown instead: its reach, its variety, and its value from the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from agora.evaluation import CANDIDATE, Estimate
from agora.pipeline import retrieved
from agora.ranking import metrics
from agora.ranking.interactions import top
from agora.shopping.evaluation import estimate
from agora.systems.recommendation.features import CONTENT
from agora.systems.recommendation.learning import PLACES
from agora.systems.recommendation.listing import Lister
from agora.systems.recommendation.value import value

if TYPE_CHECKING:
    from agora.pipeline import Columns
    from agora.shopping.lists import Lists
    from agora.systems.recommendation.baselines import Baselines
    from agora.systems.recommendation.pipeline import RecommendationPipeline

Array = np.ndarray[Any, Any]

SAMPLE = 300
"""Lists made anew: some seconds, and intervals of a few hundredths."""
REACHED = 1_000
K = 10


class Instead(NamedTuple):
    """What the pipeline would show.

    Attributes:
        found: Rows of the index that retrieval found, by list.
        lists: Rows of the list before exploration, -1 where it has ended, (n, k).
        pools: What may be tried out, by list.
    """

    found: list[Array]
    lists: Array
    pools: list[Array]


def lists_instead(
    pipeline: RecommendationPipeline, baselines: Baselines, lists: Lists
) -> dict[str, dict[str, Estimate]]:
    """Recall, coverage, diversity and novelty by model; the candidate's value from the log.

    Recall is of what was taken of a list, among a thousand products; the rest is of the first ten.
    """
    taken = np.flatnonzero(lists.taken)
    if not len(taken):
        return {}
    chosen = taken[np.linspace(0, len(taken) - 1, min(SAMPLE, len(taken))).astype(int)]
    made = instead(pipeline, lists.columns, chosen, K)
    whole = baselines.whole(lists, chosen)
    reached = {CANDIDATE: made.found} | {
        name: [row[row >= 0] for row in top(scores, REACHED)] for name, scores in whole.items()
    }
    shown = {CANDIDATE: made.lists} | {name: top(scores, K) for name, scores in whole.items()}
    groups = np.unique(lists.customers[chosen], return_inverse=True)[1]
    extra = {
        name: {
            f"recall_at_{REACHED}": estimate(
                _recall(pipeline, lists, chosen, reached[name]), groups
            ),
            **_variety(pipeline, baselines, shown[name], groups),
        }
        for name in shown
    }
    some = np.linspace(0, len(lists) - 1, min(4 * SAMPLE, len(lists))).astype(int)
    return extra | {
        CANDIDATE: extra[CANDIDATE]
        | value(pipeline, lists, instead(pipeline, lists.columns, some, PLACES), some)
    }


def instead(pipeline: RecommendationPipeline, columns: Columns, chosen: Array, k: int) -> Instead:
    """Lists of some requests, before anything is tried out."""
    found, lists, pools = [], np.full((len(chosen), k), -1), []
    for start in range(0, len(chosen), pipeline.rows_at_once):
        rows = chosen[start : start + pipeline.rows_at_once]
        part = retrieved(pipeline, {name: column[rows] for name, column in columns.items()})
        candidates, matrix = part.candidates, pipeline.decode(part)  # type: ignore[attr-defined]
        edges = np.searchsorted(candidates.request, np.arange(1, len(rows)))
        found += np.split(candidates.item, edges)
        lister, at = Lister(pipeline.index_, pipeline.params), part["event_at"] / 1e6
        for place, (ranked, _) in enumerate(pipeline.ranked(pipeline.infer(matrix), matrix, part)):
            listed, pool = lister.plan(ranked, k, str(part["request_id"][place]), float(at[place]))
            lists[start + place, : len(listed)] = ranked.items[listed]
            pools.append(ranked.items[pool])
    return Instead(found, lists, pools)


def _recall(
    pipeline: RecommendationPipeline, lists: Lists, chosen: Array, reached: list[Array]
) -> Array:
    """Share of what was taken of each chosen list that was reached, (chosen,)."""
    items = pipeline.index_.rows_of(lists.keys)
    place = np.full(len(lists), -1)
    place[chosen] = np.arange(len(chosen))
    rows = np.flatnonzero((lists.gains > 0) & (place[lists.request] >= 0))
    group = place[lists.request[rows]]
    size = len(pipeline.index_) + 1
    sizes = [len(each) for each in reached]
    there = np.repeat(np.arange(len(reached)), sizes) * size + np.concatenate(reached)
    hit = np.isin(group * size + items[rows], there) & (items[rows] >= 0)
    count = np.bincount(group, minlength=len(chosen))
    return np.asarray(np.bincount(group, weights=hit, minlength=len(chosen)) / count)


def _variety(
    pipeline: RecommendationPipeline, baselines: Baselines, lists: Array, groups: Array
) -> dict[str, Estimate]:
    index = pipeline.index_
    vectors = index.vectors[CONTENT].of(np.arange(len(index)))
    users = index.features[:, 11]
    covered = metrics.coverage(lists, max(int(index.for_sale.sum()), 1))
    return {
        "coverage_at_10": Estimate(covered, covered, covered),
        "diversity_at_10": estimate(metrics.diversity(lists, vectors), groups),
        "novelty_at_10": estimate(
            metrics.novelty(lists, users, max(int(users.max(initial=1)), 1)), groups
        ),
    }
