"""A ranking learned from judgements: a few weights that cannot be negative, and trees beside them.

Few queries are judged, so most of the say has the simple model: more words or meaning in common
never speak against a document. Evidence is brought to one scale per query first. What is fixed here
was chosen by five-fold cross-validation on SciFact's train queries (docs/decisions/0143).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agora.logistic import fit_non_negative
from agora.protocols.judged_evidence import NAMES
from agora.ranking.lambdarank import Grouped, RankParams, train

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.protocols.judged_evidence import Evidence

Array = np.ndarray[Any, Any]

PARAMS = RankParams(
    rounds=100,
    leaves=7,
    learning_rate=0.05,
    rows_in_leaf=20,
    l2=20.0,
    columns=0.6,
    truncation=15,
    rising=NAMES,
)
# Share of the weights' say in the score; the rest is the trees'.
SIMPLE = 0.7
RIDGE = 5.0
# Candidates per query that set the scale, and that teach: the others are easily told apart.
SCALED, TAUGHT = 100, 50


def learned(
    taught: Sequence[Evidence], gains: Sequence[Array], asked: Sequence[Evidence]
) -> list[Array]:
    """Scores of the candidates of `asked`, by what the grades of `taught` teach.

    Args:
        taught: Candidates of judged queries.
        gains: Grade of each candidate of `taught`, 0 for irrelevant.
        asked: Candidates to be ranked.
    """
    chosen = [_teaching(evidence, gain) for evidence, gain in zip(taught, gains, strict=True)]
    matrix = np.concatenate(
        [_scaled(evidence)[rows] for evidence, rows in zip(taught, chosen, strict=True)]
    )
    grades = np.concatenate([gain[rows] for gain, rows in zip(gains, chosen, strict=True)])
    if not 0 < np.count_nonzero(grades) < len(grades):
        return [evidence.column("fused") for evidence in asked]
    labels = (grades > 0).astype(float)
    weights = fit_non_negative(matrix, labels, np.zeros(len(NAMES)), RIDGE)[:-1]
    groups = np.repeat(np.arange(len(chosen)), list(map(len, chosen)))
    trees = train(Grouped(matrix, grades, groups), NAMES, PARAMS)
    scores = []
    for evidence in asked:
        scaled = _scaled(evidence)
        simple, other = _unit(scaled @ weights), _unit(trees.raw(scaled))
        scores.append(SIMPLE * simple + (1 - SIMPLE) * other)
    return scores


def _teaching(evidence: Evidence, gain: Array) -> Array:
    """Rows that teach: the first by plain fusion, and whatever is relevant."""
    first = np.zeros(len(gain), bool)
    first[np.argsort(-evidence.column("fused"), kind="stable")[:TAUGHT]] = True
    return np.flatnonzero(first | (gain > 0))


def _scaled(evidence: Evidence) -> Array:
    """Inputs as deviations from the mean of the query's first candidates by plain fusion."""
    first = np.argsort(-evidence.column("fused"), kind="stable")[:SCALED]
    best = evidence.matrix[first]
    return np.asarray((evidence.matrix - best.mean(axis=0)) / (best.std(axis=0) + 1e-6))


def _unit(scores: Array) -> Array:
    return np.asarray((scores - scores.mean()) / (scores.std() + 1e-9))
