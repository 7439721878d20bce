"""Search's report: how it would order the lists that were shown, against words and fusion alone.

Rows are lists of which something was taken. A click far down counts for the looks that it lacked.
What it would find anew (recall of what was taken, queries that find nothing) is told beside it, on
a sample of the same lists.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.evaluation import CANDIDATE, CHAMPION
from agora.gate import Gate
from agora.pipeline import retrieved
from agora.shopping.evaluation import compare_lists, estimate
from agora.shopping.lists import looks
from agora.systems.search.features import INPUTS, LEXICAL, SEMANTIC
from agora.systems.search.learning import PLACES, lists_of
from agora.systems.search.pipeline import SearchPipeline

if TYPE_CHECKING:
    from agora.dataset import TrainingSet
    from agora.evaluation import Estimate, Report
    from agora.pipeline import Pipeline
    from agora.shopping.lists import Lists

Array = np.ndarray[Any, Any]

BM25, FUSION = "bm25", "fusion"
SAMPLE = 300
"""Lists searched anew: some seconds, and intervals of a few hundredths."""
GATE = Gate(
    baselines=(BM25, FUSION),
    # About half of the width of the interval on a week of 500 lists.
    tolerance=0.02,
    # Of fifty lists one model of noise in seven beats both.
    fewest_positives=100,
)


def evaluate(
    pipeline: Pipeline, training_set: TrainingSet, champion: Pipeline | None = None
) -> Report:
    """Compare on the test span, which neither training nor calibration saw."""
    if not isinstance(pipeline, SearchPipeline):
        raise TypeError(f"a {type(pipeline).__name__} is not search's pipeline")
    lists = lists_of(training_set.test)
    rows, matrix = pipeline.shown(lists)
    scores = {
        CANDIDATE: _whole(lists, rows, pipeline.rankers_.raw(matrix)),
        BM25: _whole(lists, rows, matrix[:, INPUTS.index(LEXICAL)]),
        FUSION: _whole(lists, rows, fused(matrix, lists.request[rows])),
    }
    if isinstance(champion, SearchPipeline):
        known, theirs = champion.shown(lists)
        scores[CHAMPION] = _whole(lists, known, champion.rankers_.raw(theirs))
    report = compare_lists(
        training_set,
        lists,
        # Ties stay in the rows' order: not that of the places, or a model that says nothing would
        # be judged by those who made the lists.
        rows[np.lexsort((lists.keys[rows], lists.request[rows]))],
        lists.gains * looks(lists, pipeline.examined_, pipeline.params.most_weight),
        scores,
        places=PLACES,
        slices=lambda useful: _slices(pipeline, lists, useful),
        importance=pipeline.importance(),
    )
    return _with(report, searched_anew(pipeline, lists))


def fused(matrix: Array, groups: Array) -> Array:
    """Words and meaning, each brought to 0..1 within its list and added, (n,)."""
    both = matrix[:, [INPUTS.index(LEXICAL), INPUTS.index(SEMANTIC)]]
    both = np.where(np.isnan(both), -np.inf, both)
    found = np.zeros(len(matrix))
    codes = np.unique(groups, return_inverse=True)[1]
    for column in both.T:
        finite = np.isfinite(column)
        high, low = (
            np.full(codes.max(initial=-1) + 1, -np.inf),
            np.full(codes.max(initial=-1) + 1, np.inf),
        )
        np.maximum.at(high, codes[finite], column[finite])
        np.minimum.at(low, codes[finite], column[finite])
        spread = np.maximum(high - low, 1e-12)
        found[finite] += (column[finite] - low[codes[finite]]) / spread[codes[finite]]
    return found


def _whole(lists: Lists, rows: Array, scores: Array) -> Array:
    """Scores of all shown products, (m,); what is not in the index stands last."""
    found = np.full(len(lists.keys), -np.inf)
    found[rows] = scores
    return found


def _slices(pipeline: SearchPipeline, lists: Lists, useful: Array) -> dict[str, Array]:
    """Kinds of queries and of visitors."""
    asked = pipeline.asked(lists.columns)
    queries = [asked.queries[number] for number in useful.tolist()]
    words = np.array([len(query.reading.words) for query in queries])
    signed_in = np.array([each is not None for each in lists.columns["customer_id"]], bool)[useful]
    known = (asked.rows >= 0).sum(axis=1)[useful]
    return {
        "words": np.where(words <= 1, "one", np.where(words == 2, "two", "more")),
        "spelling": np.array(["corrected" if q.corrected else "as typed" for q in queries]),
        "price": np.array(
            ["named" if q.is_cheap or np.isfinite(q.ceiling) else "not" for q in queries]
        ),
        "category": np.array(["told" if q.category else "unsure" for q in queries]),
        "signed in": np.where(signed_in, "yes", "no"),
        "visitor": np.where(known == 0, "nothing known", "known"),
    }


def searched_anew(pipeline: SearchPipeline, lists: Lists) -> dict[str, Estimate]:
    """Share of what was taken that is found, and of queries that find nothing."""
    taken = np.flatnonzero(lists.taken)
    if not len(taken):
        return {}
    chosen = np.unique(taken[np.linspace(0, len(taken) - 1, min(SAMPLE, len(taken))).astype(int)])
    some = lists.take(chosen)
    found = retrieved(pipeline, some.columns).candidates  # type: ignore[attr-defined]
    size, items = len(pipeline.index_) + 1, pipeline.index_.rows_of(some.keys)
    # What has gone, or is sold out by now, is rightly not found.
    there = (some.gains > 0) & (items >= 0) & pipeline.index_.for_sale[np.maximum(items, 0)]
    hit = np.isin(some.request * size + items, found.request * size + found.item)
    count = np.bincount(some.request[there], minlength=len(some))
    hits = np.bincount(some.request[there], weights=hit[there], minlength=len(some))
    recall = np.full(len(some), np.nan)
    np.divide(hits, count, out=recall, where=count > 0)
    nothing = np.bincount(found.request, minlength=len(some)) == 0
    groups = np.unique(some.customers, return_inverse=True)[1]
    return {
        "recall": estimate(recall, groups),
        "zero_result_share": estimate(nothing.astype(float), groups),
    }


def _with(report: Report, extra: dict[str, Estimate]) -> Report:
    """The report with further figures of the candidate."""
    metrics = {**report.metrics, CANDIDATE: {**report.metrics[CANDIDATE], **extra}}
    return replace(report, metrics=metrics)
