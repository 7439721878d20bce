"""What the pipeline's own lists would have earned, from the lists that were logged.

Asked is clicks per list at the requests of the log, each as it was made: that is what the log can
tell. Three estimates by place: inverse propensities, self-normalised, doubly robust.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agora.evaluation import Estimate
from agora.ranking import off_policy
from agora.ranking.rewards import cross_fitted
from agora.systems.recommendation.inputs import inputs_of

if TYPE_CHECKING:
    from agora.shopping.lists import Lists
    from agora.systems.recommendation.instead import Instead
    from agora.systems.recommendation.pipeline import RecommendationPipeline

Array = np.ndarray[Any, Any]

# A weight above this would let one click stand for a hundred lists.
MOST_WEIGHT = 50.0
DRAWS = 200
LEAST_SUPPORT = 0.9


def value(
    pipeline: RecommendationPipeline, lists: Lists, made: Instead, chosen: Array
) -> dict[str, Estimate]:
    """Clicks per list by each estimate, and how much of the log speaks of the same lists.

    Empty where no propensities were logged. `effective_share` is what the weights are worth, as a
    share of the log; `supported_share` is the mean weight: 1 where the log could have shown all
    that the pipeline would. Far below 1 no estimate is given: inverse propensities miss what could
    not be shown, doubly robust says of it what its model does, and neither interval holds the
    truth.

    Args:
        pipeline: The pipeline.
        lists: The log.
        made: The pipeline's lists of some of them.
        chosen: Which, (n,).
    """
    place = np.full(len(lists), -1)
    place[chosen] = np.arange(len(chosen))
    row, places = place[lists.request], made.lists.shape[1]
    rows = np.flatnonzero((row >= 0) & (lists.propensities > 0) & (lists.positions <= places))
    if not len(rows):
        return {}
    row, positions = row[rows], lists.positions[rows]
    items = pipeline.index_.rows_of(lists.keys)[rows]
    asked, chances = _asked(pipeline, made)
    same = (asked[row] == items[:, None]) & (items >= 0)[:, None]
    chance = chances[row, positions - 1]
    log = off_policy.Log(
        sessions=np.unique(row, return_inverse=True)[1],
        positions=positions,
        rewards=(lists.gains[rows] > 0).astype(float),
        logged=lists.propensities[rows],
        target=(chance * same).sum(axis=1),
    )
    weights = log.target / log.logged
    support = float(weights.mean())
    model = None
    if support >= LEAST_SUPPORT:
        scores = _scores(pipeline, lists, chosen[row], np.column_stack([asked[row], items]))
        model = cross_fitted(
            log.sessions, positions, log.rewards, scores[:, -1], scores[:, :-1], chance
        )
    found = off_policy.estimates(log, model, most=MOST_WEIGHT, draws=DRAWS)
    shares = {"effective_share": found["ips"].effective / len(rows), "supported_share": support}
    return {
        f"clicks_per_list_{name}": Estimate(each.value, each.low, each.high)
        for name, each in found.items()
        if name == "logged" or model is not None
    } | {name: Estimate(share, share, share) for name, share in shares.items()}


def _asked(pipeline: RecommendationPipeline, made: Instead) -> tuple[Array, Array]:
    """What may stand in each list (n, m), -1 for nothing, and its chance by place (n, k, m)."""
    policy, k = pipeline.params.exploration, made.lists.shape[1]
    width = k + max((len(pool) for pool in made.pools), default=0)
    items = np.full((len(made.lists), width), -1)
    chances = np.zeros((len(made.lists), k, width))
    for at, (listed, pool) in enumerate(zip(made.lists, made.pools, strict=True)):
        own = listed[listed >= 0]
        size = len(own) + len(pool)
        items[at, :size] = np.concatenate([own, pool])
        chances[at, : len(own), :size] = policy.table(len(own), len(pool))
    return items, chances


def _scores(pipeline: RecommendationPipeline, lists: Lists, request: Array, items: Array) -> Array:
    """What the trees say of products in lists, of the items' shape (m, n); 0 for nothing.

    Each product of a list is scored once, by what the index knows: shown or not, it must be alike.
    """
    size = len(pipeline.index_) + 1
    pairs = request[:, None] * size + items + 1
    unique, back = np.unique(pairs, return_inverse=True)
    of, item = unique // size, unique % size - 1
    known = np.flatnonzero(item >= 0)
    asked_of, where = np.unique(of[known], return_inverse=True)
    columns = {name: column[asked_of] for name, column in lists.columns.items()}
    asked = pipeline.tastes_.ask(columns, pipeline.index_)
    found = np.zeros(len(unique))
    found[known] = pipeline.rankers_.trees.raw(
        inputs_of(columns, where, item[known], asked, pipeline.index_)
    )
    return np.asarray(found[back].reshape(items.shape))
