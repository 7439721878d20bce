"""What the rankers see: one row per request and candidate, columns in the order of `INPUTS`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agora.shopping.history import WORTH
from agora.systems.recommendation.debuts import DAY
from agora.systems.recommendation.features import (
    COUNTS,
    INPUTS,
    LOGGED,
    OF_CUSTOMER,
    POPULAR,
    SPENT,
)
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
    """
    own = index.features[item] if features is None else features
    counts, rates = own[:, : len(LOGGED)], own[:, len(LOGGED) :]
    numbers = dict(zip(OF_CUSTOMER.names, OF_CUSTOMER(columns), strict=True))
    now = np.asarray(columns["event_at"])[request] / 1e6
    price = index.price[item]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.log(price / numbers[SPENT][request])
        logged = np.log(price)
    nothing = np.full(len(item), np.nan)
    found = np.column_stack(
        [
            *(
                nothing
                if space in skipped
                else _product(asked.queries[space], index, space, request, item)
                for space in SPACES
            ),
            nothing if POPULAR in skipped else index.popularity[item],
            np.log1p(np.maximum(counts, 0.0)),
            rates,
            (now - index.listed[item]) / DAY,
            np.where(np.isfinite(logged), logged, np.nan),
            np.where(np.isfinite(ratio), ratio, np.nan),
            _met(asked, request, item, index),
            asked.history.known.sum(axis=1)[request],
            np.where(asked.history.known[:, 0], asked.history.ages[:, 0] / MINUTE, np.nan)[request],
            *(np.log1p(np.maximum(numbers[name], 0.0))[request] for name in COUNTS),
        ]
    )
    assert found.shape[1] == len(INPUTS), "as many columns as names"
    return found


def _product(queries: Array, index: Index, space: str, request: Array, item: Array) -> Array:
    vectors = index.vectors[space].of(item)
    # Row by row, as a product of matrices would depend on who else asks.
    found = np.einsum("ij,ij->i", queries[request].astype(float), vectors.astype(float))
    return np.asarray(found)


def _met(asked: Asked, request: Array, item: Array, index: Index) -> Array:
    """How the candidate's category and seller stand in the history, and when it was met itself."""
    history, rows = asked.history, asked.rows
    known = rows >= 0
    place = np.where(known, rows, 0)
    weight = WORTH[history.kinds] * 0.5 ** (history.ages / HALF_LIFE) * known
    total = np.maximum(weight.sum(axis=1), 1e-12)[request]
    category = np.where(known, index.categories[place], -1)[request]  # (m, L)
    seller = np.where(known, index.sellers[place], -1)[request]
    same = category == index.categories[item][:, None]
    mine = weight[request]
    met = rows[request] == item[:, None]
    ages = np.where(met, history.ages[request], np.inf).min(axis=1, initial=np.inf)
    return np.column_stack(
        [
            (mine * same).sum(axis=1) / total,
            same[:, 0] if same.shape[1] else np.zeros(len(item)),
            (mine * (seller == index.sellers[item][:, None])).sum(axis=1) / total,
            met.sum(axis=1),
            np.where(met, history.kinds[request] + 1, 0).max(axis=1, initial=0),
            np.where(np.isfinite(ages), ages / DAY, np.nan),
        ]
    )
