"""What the rankers see: one row per request and candidate, columns in the order of `INPUTS`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agora.shopping.catalogue import logged
from agora.shopping.history import WORTH
from agora.systems.recommendation.debuts import DAY
from agora.systems.recommendation.features import (
    COUNTS,
    INPUTS,
    LOGGED,
    OF_CUSTOMER,
    OF_ITEM,
    POPULAR,
    SPENT,
    TOLD,
)
from agora.systems.recommendation.tastes import SPACES

if TYPE_CHECKING:
    from collections.abc import Collection

    from agora.pipeline import Columns
    from agora.systems.recommendation.index import Index
    from agora.systems.recommendation.tastes import Asked

Array = np.ndarray[Any, Any]

THEN = TOLD.index(OF_ITEM[0])
AT = {name: place for place, name in enumerate(INPUTS)}
HALF_LIFE = 3 * DAY  # An interest of a week ago still says a quarter.
MINUTE = 60.0


def inputs_of(
    columns: Columns,
    request: Array,
    item: Array,
    asked: Asked,
    index: Index,
    *,
    features: Array | None = None,
    skipped: Collection[str] = (),
    out: Array | None = None,
) -> Array:
    """Inputs of candidates, (m, len(INPUTS)) float64.

    Args:
        columns: The requests.
        request: Row of each candidate's request, (m,).
        item: Its row in the index, (m,).
        asked: The visitors.
        index: The products.
        features: Columns `OF_ITEM` of each candidate where another time is meant than the index's,
            (m, len(OF_ITEM)).
        skipped: Strategies that did not answer: what they would say is not known.
        out: Where they are written.
    """
    numbers = dict(zip(OF_CUSTOMER.names, OF_CUSTOMER(columns), strict=True))
    now, spent = np.asarray(columns["event_at"]) / 1e6, numbers[SPENT]
    history = asked.history
    with np.errstate(invalid="ignore", divide="ignore"):
        usual = np.log(spent)
    usual[~np.isfinite(usual)] = np.nan
    found = np.empty((len(item), len(INPUTS))) if out is None else out
    for space in SPACES:
        found[:, AT[space]] = (
            np.nan if space in skipped
            else _product(asked.queries[space], index, space, request, item)
        )  # fmt: skip
    told = np.take(index.told, item, axis=0)
    if features is not None:
        told[:, THEN : THEN + len(OF_ITEM)] = logged(features, len(LOGGED))
    found[:, AT[POPULAR] : AT["price_over_clicked"]] = told
    if POPULAR in skipped:
        found[:, AT[POPULAR]] = np.nan
    listed, price = found[:, AT["age_days"]], found[:, AT["log_price"]]
    np.divide(now[request] - listed, DAY, out=listed)
    np.subtract(price, usual[request], out=found[:, AT["price_over_clicked"]])
    _met(asked, request, item, index, found[:, AT["category_share"] : AT["history_length"]])
    found[:, AT["history_length"]] = history.known.sum(axis=1)[request]
    latest = np.where(history.known[:, 0], history.ages[:, 0] / MINUTE, np.nan)
    found[:, AT["latest_minutes_ago"]] = latest[request]
    counts = np.log1p(np.maximum([numbers[name] for name in COUNTS], 0.0)).T
    found[:, AT[COUNTS[0]] :] = counts if len(counts) == 1 else counts[request]
    return found


def _product(queries: Array, index: Index, space: str, request: Array, item: Array) -> Array:
    vectors = index.vectors[space]
    # One request is the common case: its query is not copied for every candidate.
    if len(queries) == 1:
        return vectors.scores(queries[0], item)
    # Row by row, as a product of matrices would depend on who else asks.
    return np.asarray(np.einsum("ij,ij->i", queries[request], vectors.of(item)))


def _met(asked: Asked, request: Array, item: Array, index: Index, out: Array) -> None:
    """How the candidate's category and seller stand in the history, and when it was met itself.

    Steps come first, (L, m): sums over them are made by whole rows.
    """
    history, rows = asked.history, asked.rows
    known = rows >= 0
    place = np.where(known, rows, 0)
    weight = WORTH[history.kinds] * 0.5 ** (history.ages / HALF_LIFE) * known
    weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)
    weights = _by_step(weight, request)
    category = _by_step(np.where(known, index.categories[place], -1), request)
    seller = _by_step(np.where(known, index.sellers[place], -1), request)
    own = index.categories[item]
    out[:, 0] = np.where(category == own, weights, 0.0).sum(axis=0)
    out[:, 1] = category[0] == own if len(category) else 0.0
    out[:, 2] = np.where(seller == index.sellers[item], weights, 0.0).sum(axis=0)
    out[:, 3:] = 0.0, 0.0, np.nan
    # Few candidates were met: only these are looked at.
    step, which = np.nonzero(_by_step(rows, request) == item)
    of = request[which]
    np.add.at(out[:, 3], which, 1.0)
    np.maximum.at(out[:, 4], which, history.kinds[of, step] + 1.0)
    np.fmin.at(out[:, 5], which, history.ages[of, step] / DAY)


def _by_step(values: Array, request: Array) -> Array:
    """Values of steps, (n, L), for each candidate, (L, m), or (L, 1) where all are of one."""
    return values.T if len(values) == 1 else values.T[:, request]
