"""What the rankers see: one row per request and candidate, columns in the order of `INPUTS`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agora.shopping.history import WORTH
from agora.systems.recommendation.debuts import DAY
from agora.systems.recommendation.features import (
    COUNTS,
    INPUTS,
    OF_CUSTOMER,
    POPULAR,
    SPENT,
)
from agora.systems.recommendation.index import logged
from agora.systems.recommendation.tastes import SPACES

if TYPE_CHECKING:
    from collections.abc import Collection

    from agora.pipeline import Columns
    from agora.systems.recommendation.index import Index
    from agora.systems.recommendation.tastes import Asked

Array = np.ndarray[Any, Any]

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
    now = np.asarray(columns["event_at"]) / 1e6
    price, spent = index.log_price[item], numbers[SPENT]
    history = asked.history
    with np.errstate(invalid="ignore", divide="ignore"):
        usual = np.log(spent)
    found = np.empty((len(item), len(INPUTS))) if out is None else out
    at = 0
    for column in (
        *(
            None
            if space in skipped
            else _product(asked.queries[space], index, space, request, item)
            for space in SPACES
        ),
        None if POPULAR in skipped else index.popularity[item],
        index.logged[item] if features is None else logged(features),
        (now[request] - index.listed[item]) / DAY,
        price,
        price - np.where(np.isfinite(usual), usual, np.nan)[request],
        _met(asked, request, item, index),
        history.known.sum(axis=1)[request],
        np.where(history.known[:, 0], history.ages[:, 0] / MINUTE, np.nan)[request],
        np.log1p(np.maximum([numbers[name] for name in COUNTS], 0.0)).T[request],
    ):
        width = 1 if column is None or column.ndim == 1 else column.shape[1]
        place = found[:, at] if width == 1 else found[:, at : at + width]
        place[...] = np.nan if column is None else column.reshape(place.shape)
        at += width
    assert at == len(INPUTS), "as many columns as names"
    return found


def _product(queries: Array, index: Index, space: str, request: Array, item: Array) -> Array:
    # Row by row, as a product of matrices would depend on who else asks.
    vectors = index.vectors[space].of(item)
    # One request is the common case: its query is not copied for every candidate.
    one = len(queries) == 1
    asked = np.broadcast_to(queries, vectors.shape) if one else queries[request]
    return np.asarray(np.einsum("ij,ij->i", asked, vectors))


def _met(asked: Asked, request: Array, item: Array, index: Index) -> Array:
    """How the candidate's category and seller stand in the history, and when it was met itself."""
    history, rows = asked.history, asked.rows
    known = rows >= 0
    place = np.where(known, rows, 0)
    weight = WORTH[history.kinds] * 0.5 ** (history.ages / HALF_LIFE) * known
    weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)
    category, own = np.where(known, index.categories[place], -1), index.categories[item]
    seller = np.where(known, index.sellers[place], -1)
    found = np.empty((len(item), 6))
    found[:, 0] = _share(category, weight, request, own)
    found[:, 1] = category[request, 0] == own if rows.shape[1] else 0.0
    found[:, 2] = _share(seller, weight, request, index.sellers[item])
    found[:, 3:] = 0.0, 0.0, np.nan
    # Few candidates were met: only these are looked at.
    which, step = np.nonzero(rows[request] == item[:, None])
    of = request[which]
    np.add.at(found[:, 3], which, 1.0)
    np.maximum.at(found[:, 4], which, history.kinds[of, step] + 1.0)
    np.fmin.at(found[:, 5], which, history.ages[of, step] / DAY)
    return found


def _share(codes: Array, weight: Array, request: Array, own: Array) -> Array:
    """Weight of the history's steps that have each candidate's code, (m,).

    Args:
        codes: Of the steps, (n, L); below nought where there is none.
        weight: Of the steps, (n, L).
        request: Of each candidate.
        own: Code of each candidate.
    """
    many = max(int(codes.max(initial=0)), int(own.max(initial=0))) + 1
    pairs = (np.arange(len(codes))[:, None] * many + codes)[codes >= 0]
    held, place = np.unique(pairs, return_inverse=True)
    if not len(held):
        return np.zeros(len(own))
    total = np.bincount(place, weight[codes >= 0])
    wanted = request * many + own
    at = np.searchsorted(held, wanted).clip(max=len(held) - 1)
    return np.where(held[at] == wanted, total[at], 0.0)
