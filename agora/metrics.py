"""Metrics of scores against binary labels, as plain functions.

Each takes labels (n,) and scores (n,), and `weights` of shape (draws, n); it returns one value per
draw. A first draw of ones gives the value itself, bootstrap counts the others: sorting happens
once, everything else is vectorised over the draws. `evaluation` puts these to use.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def average_precision(labels: Array, scores: Array, weights: Array | None = None) -> Array:
    """Area under the precision-recall curve by steps, as scikit-learn defines it."""
    true, false = _cumulated(labels, scores, weights)
    precision = true / np.maximum(true + false, 1e-300)
    gained = np.diff(true, axis=1, prepend=0.0)
    return _share((gained * precision).sum(axis=1), true[:, -1])


def auc_roc(labels: Array, scores: Array, weights: Array | None = None) -> Array:
    """Chance that a positive outranks a negative; ties count half."""
    true, false = _cumulated(labels, scores, weights)
    new = np.diff(false, axis=1, prepend=0.0)
    before = np.concatenate([np.zeros((len(true), 1)), true[:, :-1]], axis=1)
    return _share((new * (before + true) / 2).sum(axis=1), true[:, -1] * false[:, -1])


def recall_at_precision(
    labels: Array, scores: Array, weights: Array | None = None, precision: float = 0.5
) -> Array:
    """Largest recall of a threshold whose precision is at least `precision`; 0 where none is."""
    true, false = _cumulated(labels, scores, weights)
    enough = true >= precision * (true + false)
    return _share((true * enough).max(axis=1), true[:, -1])


def brier(labels: Array, scores: Array, weights: Array | None = None) -> Array:
    """Mean squared difference of probability and outcome."""
    return mean((scores - labels) ** 2, weights)


def expected_calibration_error(
    labels: Array, scores: Array, weights: Array | None = None, bins: int = 15
) -> Array:
    """Mean distance of predicted and observed share, over bins of equal size."""
    weights = _drawn(labels, weights)
    starts = _bin_starts(scores, bins)
    order = np.argsort(scores, kind="stable")
    gap = np.add.reduceat((weights * (scores - labels))[:, order], starts, axis=1)
    return _share(np.abs(gap).sum(axis=1), weights.sum(axis=1))


def calibration_bias(labels: Array, scores: Array, weights: Array | None = None) -> Array:
    """How far the predicted number of positives lies from the observed one, as a share of it."""
    weights = _drawn(labels, weights)
    positives = weights @ labels.astype(float)
    return _share(np.abs(weights @ scores - positives), positives)


def reliability(labels: Array, scores: Array, bins: int = 15) -> list[dict[str, float]]:
    """Predicted and observed share, and the number of rows, of bins of equal size."""
    order, starts = np.argsort(scores, kind="stable"), _bin_starts(scores, bins)
    count = np.diff(np.append(starts, len(scores)))
    predicted = np.add.reduceat(scores[order], starts) / count
    observed = np.add.reduceat(labels[order].astype(float), starts) / count
    return [
        {"predicted": float(p), "observed": float(o), "rows": int(c)}
        for p, o, c in zip(predicted, observed, count, strict=True)
    ]


def precision_recall(labels: Array, scores: Array, points: int = 200) -> dict[str, list[float]]:
    """The precision-recall curve, at no more than `points` thresholds evenly spread in recall."""
    true, false = (curve[0] for curve in _cumulated(labels, scores, None))
    recall = true / max(true[-1], 1e-300)
    chosen = np.unique(np.searchsorted(recall, np.linspace(0, 1, points)).clip(max=len(recall) - 1))
    precision = true / np.maximum(true + false, 1e-300)
    return {"recall": recall[chosen].tolist(), "precision": precision[chosen].tolist()}


def card_precision_at_k(
    days: Array, cards: Array, labels: Array, scores: Array, k: int, weights: Array | None = None
) -> Array:
    """Share of frauds among the k cards that analysts would check each day, averaged over days.

    The Fraud Detection Handbook's measure: a card's score of a day is its largest, its label
    whether any payment of the day is a fraud; a card found fraudulent leaves the later days.

    Args:
        days: Day of each payment, any sortable values.
        cards: Card (or customer) of each payment, codes from 0.
        labels: Whether it is a fraud.
        scores: Its score.
        k: Cards checked a day.
        weights: (draws, number of cards): how often each card was drawn.
    """
    drawn = np.ones((1, int(cards.max()) + 1)) if weights is None else weights
    found = np.zeros(drawn.shape, bool)
    precisions = []
    for day in np.unique(days):
        rows = np.flatnonzero(days == day)
        card, first = np.unique(cards[rows], return_inverse=True)
        top, fraud = np.full(len(card), -np.inf), np.zeros(len(card))
        np.maximum.at(top, first, scores[rows])
        np.maximum.at(fraud, first, labels[rows])
        order = np.lexsort((card, -top))
        card, fraud = card[order], fraud[order]
        copies = drawn[:, card] * ~found[:, card]
        checked = np.clip(k - (np.cumsum(copies, axis=1) - copies), 0, copies)
        precisions.append((checked * fraud).sum(axis=1) / k)
        found[:, card] |= (checked > 0) & (fraud > 0)
    return np.asarray(np.mean(precisions, axis=0))


def mean(values: Array, weights: Array | None = None) -> Array:
    """Mean of a value per row, such as a cost."""
    weights = _drawn(values, weights)
    return _share(weights @ values, weights.sum(axis=1))


def _drawn(labels: Array, weights: Array | None) -> Array:
    return np.ones((1, len(labels))) if weights is None else weights


def _cumulated(labels: Array, scores: Array, weights: Array | None) -> tuple[Array, Array]:
    """Weight of positives and of negatives at or above each distinct score, from the top."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
    weighted = _drawn(labels, weights)[:, order]
    positive = labels[order].astype(float)
    everything = np.cumsum(weighted, axis=1)[:, ends]
    true = np.cumsum(weighted * positive, axis=1)[:, ends]
    return true, everything - true


def _bin_starts(scores: Array, bins: int) -> Array:
    return np.unique(
        np.linspace(0, len(scores), min(bins, len(scores)), endpoint=False).astype(int)
    )


def _share(part: Array, whole: Array) -> Array:
    """NaN where there is nothing to share."""
    share = np.full(len(whole), np.nan)
    return np.asarray(np.divide(part, whole, out=share, where=whole > 0))
