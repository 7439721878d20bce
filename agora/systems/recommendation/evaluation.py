"""Recommendation's report: how it would order the lists that were shown, against two baselines.

Rows are lists of which something was taken. A click far down counts for the looks that it lacked.
What it would have shown instead (recall, coverage, diversity, novelty, its value from the logged
propensities) is told beside it, on a sample of the same lists.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.evaluation import CANDIDATE, CHAMPION
from agora.gate import Gate
from agora.shopping.evaluation import compare_lists
from agora.systems.recommendation.baselines import ITEM_TO_ITEM, MOST_POPULAR, Baselines
from agora.systems.recommendation.debuts import DAY
from agora.systems.recommendation.instead import lists_instead
from agora.systems.recommendation.learning import PLACES, lists_of, looks
from agora.systems.recommendation.pipeline import RecommendationPipeline

if TYPE_CHECKING:
    from agora.dataset import TrainingSet
    from agora.evaluation import Estimate, Report
    from agora.pipeline import Pipeline
    from agora.shopping.lists import Lists

Array = np.ndarray[Any, Any]

GATE = Gate(
    baselines=(MOST_POPULAR, ITEM_TO_ITEM),
    # About half of the width of the interval on a week of 500 lists.
    tolerance=0.02,
)


def evaluate(
    pipeline: Pipeline, training_set: TrainingSet, champion: Pipeline | None = None
) -> Report:
    """Compare on the test span, which neither training nor calibration saw."""
    if not isinstance(pipeline, RecommendationPipeline):
        raise TypeError(f"a {type(pipeline).__name__} is not recommendation's pipeline")
    lists = lists_of(training_set.test)
    baselines = Baselines.fit(pipeline, lists_of(training_set.train))
    items = pipeline.index_.rows_of(lists.keys)
    scores = {CANDIDATE: _scores(pipeline, lists), **baselines.scores(lists, items)}
    if isinstance(champion, RecommendationPipeline):
        scores[CHAMPION] = _scores(champion, lists)
    found = compare_lists(
        training_set,
        lists,
        np.flatnonzero(items >= 0),
        lists.gains * looks(lists, pipeline.examined_),
        scores,
        places=PLACES,
        slices=lambda useful: _slices(pipeline, lists, useful),
        importance=pipeline.importance(),
    )
    extra = lists_instead(pipeline, baselines, lists)
    return _with(found, extra)


def _scores(pipeline: RecommendationPipeline, lists: Lists) -> Array:
    """What the trees say of each shown product, (m,); what is not in the index stands last."""
    rows, matrix = pipeline.shown(lists)
    found = np.full(len(lists.keys), -np.inf)
    found[rows] = pipeline.rankers_.trees.raw(matrix)
    return found


def _slices(pipeline: RecommendationPipeline, lists: Lists, useful: Array) -> dict[str, Array]:
    """Cold starts: visitors of whom nothing is known, lists in which something new was taken."""
    index = pipeline.index_
    known = pipeline.tastes_.ask(lists.columns, index).history.known.sum(axis=1)[useful]
    items = index.rows_of(lists.keys)
    age = lists.columns["event_at"][lists.request] / 1e6 - index.listed[np.maximum(items, 0)]
    new = (items >= 0) & (lists.gains > 0) & (age < pipeline.params.new_days * DAY)
    taken_new = np.bincount(lists.request, weights=new, minlength=len(lists))[useful] > 0
    signed_in = np.array([each is not None for each in lists.columns["customer_id"]])[useful]
    return {
        "visitor": np.where(known == 0, "nothing known", np.where(known < 5, "little", "known")),
        "signed in": np.where(signed_in, "yes", "no"),
        "taken": np.where(taken_new, "a new product", "others"),
    }


def _with(report: Report, extra: dict[str, dict[str, Estimate]]) -> Report:
    """The report with further figures by model."""
    metrics = {name: {**each, **extra.get(name, {})} for name, each in report.metrics.items()}
    return replace(report, metrics=metrics)
