"""What is learned, and from which rows.

The models of taste learn from the training span. The rankers learn from the calibration span, on
scores of models that have not seen it: what the towers learned by heart would else count as sure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.calibration import Calibration, fit_calibration
from agora.items import item_keys
from agora.pipeline import columns_of
from agora.ranking import first_tier, lambdarank
from agora.ranking.collaborative import FactoredEase
from agora.ranking.interactions import interactions
from agora.ranking.lambdarank import Grouped
from agora.ranking.position_bias import regression_em, weights
from agora.ranking.towers import Examples, TwoTower
from agora.systems.recommendation.features import INPUTS, OF_ITEM, READ
from agora.systems.recommendation.history import WORTH, History, history_of
from agora.systems.recommendation.index import KEY
from agora.systems.recommendation.tastes import CONTEXT, Tastes, customers_of, items_of

if TYPE_CHECKING:
    from agora.boosting import Boosters
    from agora.pipeline import Columns
    from agora.ranking.interactions import Sparse
    from agora.ranking.tower_inputs import Customers
    from agora.systems.recommendation.params import Params

Array = np.ndarray[Any, Any]

LABEL = "gain"
PLACES = 12  # Of the home page.
# Of a click far down, over one at the first place.
MOST_WEIGHT = 5.0
# Rows per leaf fall with the rows there are, so that few rows still split.
LEAVES_OF_ROWS = 50


@dataclass(frozen=True, slots=True)
class Lists:
    """Shown lists.

    Attributes:
        columns: One row per list: what the pipeline reads of a request.
        customers: Code of each list's customer; strangers each have their own, (lists,).
        request: Row of the list of each shown product, (m,).
        keys: Key of the product, (m,).
        positions: Place, from 1, (m,).
        propensities: Chance with which it was put there, NaN where not known, (m,).
        gains: 0 nothing, 1 click, 2 cart, 3 purchase, (m,).
        features: Columns `OF_ITEM` as of then, (m, len(OF_ITEM)).
    """

    columns: Columns
    customers: Array
    request: Array
    keys: Array
    positions: Array
    propensities: Array
    gains: Array
    features: Array

    def __len__(self) -> int:
        return len(self.customers)

    @property
    def taken(self) -> Array:
        """Lists of which something was taken, (lists,) bool."""
        return np.bincount(self.request, weights=self.gains, minlength=len(self)) > 0


def lists_of(frame: pl.DataFrame) -> Lists:
    """Rows of shown products, as a training set has them, by list."""
    rows = frame.with_row_index("row")
    # Two lists of one id are two lists where their times differ.
    by_list = rows.group_by("request_id", "event_at", maintain_order=True).agg("row")
    first = by_list["row"].list.first().to_numpy()
    sizes = by_list["row"].list.len().to_numpy()
    order = by_list["row"].explode().to_numpy() if len(by_list) else np.empty(0, np.int64)
    request = np.empty(len(frame), np.int64)
    request[order] = np.repeat(np.arange(len(by_list)), sizes)
    asked = frame[first]
    who = asked["customer_id"].fill_null(pl.lit("list ") + asked["request_id"])
    return Lists(
        columns=columns_of(asked.select(READ)),
        customers=who.rank("dense").to_numpy().astype(np.int64) - 1,
        request=request,
        keys=item_keys(frame["product_id"]),
        positions=frame["position"].cast(pl.Int64).to_numpy(),
        propensities=frame["propensity"].cast(pl.Float64).fill_null(float("nan")).to_numpy(),
        gains=frame[LABEL].cast(pl.Float64).fill_null(0.0).to_numpy(),
        features=frame.select(pl.col(OF_ITEM).cast(pl.Float64)).to_numpy(),
    )


def fit_tastes(lists: Lists, frame: pl.DataFrame, params: Params, start: Tastes | None) -> Tastes:
    """Towers and collaborative vectors from what was taken.

    Args:
        lists: Of the training span.
        frame: Products, as the index keeps them.
        params: How.
        start: Earlier models: the towers go on from theirs.
    """
    order = np.argsort(frame[KEY].to_numpy(), kind="stable")
    frame = frame[order]
    keys, history = frame[KEY].to_numpy(), history_of(lists.columns)
    rows, taken = _rows(keys, history.keys), _rows(keys, lists.keys)
    items = items_of(frame, params.text)
    price = _price(items.price) if start is None else start.towers.price
    examples = _examples(lists, history, rows, taken, price)
    earlier = None if start is None else start.towers
    towers = TwoTower.fit(examples, items, params.towers, start=earlier)
    ease = FactoredEase(params.rank, params.ridge).fit(
        taken_by(lists, history, rows, taken, len(keys))
    )
    return Tastes(towers, ease, keys, params.text)


def taken_by(lists: Lists, history: History, rows: Array, taken: Array, items: int) -> Sparse:
    """Who took what: histories and what came of the lists, (customers, items).

    Args:
        lists: The lists.
        history: What their visitors did before, with its `rows`, (lists, L).
        rows: Row of each step, -1 where it is not known.
        taken: Row of each shown product, (m,).
        items: Rows there are.
    """
    steps, shown = rows >= 0, (lists.gains > 0) & (taken >= 0)
    who = np.repeat(lists.customers, steps.sum(axis=1))
    users = np.concatenate([who, lists.customers[lists.request[shown]]])
    both = np.concatenate([rows[steps], taken[shown]])
    kinds = np.concatenate([history.kinds[steps], lists.gains[shown].astype(np.int64) - 1])
    shape = (int(lists.customers.max(initial=0)) + 1, items)
    return interactions(users, both, shape, WORTH[kinds.clip(0, 2)])


def fit_examined(lists: Lists) -> Array:
    """How much each place is looked at, relative to the first, (PLACES,)."""
    shown = lists.positions <= PLACES
    products = np.unique(lists.keys[shown], return_inverse=True)[1]
    clicked = lists.gains[shown] > 0
    if not clicked.any():
        return np.ones(PLACES)
    found = regression_em(lists.positions[shown], clicked.astype(float), products, PLACES)
    # A place that nobody saw is like the one before it; no place is looked at more than the first.
    return np.minimum(np.where(np.isfinite(found), found, 1.0), 1.0)


def looks(lists: Lists, examined: Array, power: float = 1.0) -> Array:
    """Weight of each shown product: what was taken far down counts more, (m,).

    Args:
        lists: The lists.
        examined: How much each place is looked at.
        power: 1 undoes the places wholly, 0 not at all.
    """
    seen = weights(lists.positions, examined, MOST_WEIGHT) ** power
    return np.asarray(np.where(lists.gains > 0, seen, 1.0))


@dataclass(frozen=True, slots=True)
class Rankers:
    """The fitted rankers, and what their scores mean.

    Attributes:
        first: Over all candidates.
        trees: Over those left open.
        meanings: By ranker: mean score of a list to the chance that something of it is taken.
        usual: Share of lists of which something was taken.
    """

    first: first_tier.FirstTier
    trees: Boosters
    meanings: tuple[Calibration, Calibration]
    usual: float


def fit_rankers(matrix: Array, lists: Lists, rows: Array, weight: Array, params: Params) -> Rankers:
    """Both rankers from shown lists.

    Args:
        matrix: Inputs of the shown products, (n, len(INPUTS)).
        lists: The lists.
        rows: Rows of the lists' products that the matrix has, (n,).
        weight: Of each, (n,).
        params: How.

    Raises:
        ValueError: No list holds something that was taken beside something that was not.
    """
    request, gains = lists.request[rows], lists.gains[rows]
    sample = Grouped(matrix, gains, request, weight)
    first = first_tier.FirstTier.fit(sample)
    rows_in_leaf = max(1, min(params.ranker.rows_in_leaf, len(matrix) // LEAVES_OF_ROWS))
    trees = lambdarank.train(sample, INPUTS, replace(params.ranker, rows_in_leaf=rows_in_leaf))
    meanings = tuple(
        _meaning(_means(scores, request, len(lists)), lists.taken)
        for scores in (first.raw(matrix), trees.raw(matrix))
    )
    return Rankers(first, trees, (meanings[0], meanings[1]), float(lists.taken.mean()))


def _rows(keys: Array, asked: Array) -> Array:
    place = np.searchsorted(keys, asked).clip(max=len(keys) - 1)
    return np.where(keys[place] == asked, place, -1)


def _price(price: Array) -> tuple[float, float]:
    logs = np.log(price[price > 0])
    return (float(logs.mean()), max(float(logs.std()), 1e-3)) if len(logs) else (0.0, 1.0)


def _examples(
    lists: Lists, history: History, rows: Array, taken: Array, price: tuple[float, float]
) -> Examples:
    """What was taken of lists, and each latest interaction after those before it, oldest first."""
    chosen = np.flatnonzero((lists.gains > 0) & (taken >= 0))
    shown = customers_of(history, rows, lists.columns, price).take(lists.request[chosen])
    at = lists.columns["event_at"] / 1e6
    when = np.round(at - history.ages[:, 0])
    latest = np.column_stack([history.keys[:, 0], history.kinds[:, 0], when, lists.customers])
    moved = np.unique(latest, axis=0, return_index=True)[1]
    moved = np.sort(moved[rows[moved, 0] >= 0])
    past = history.take(moved).before(1)
    past = History(past.keys, past.kinds, np.maximum(past.ages - history.ages[moved, :1], 0.0))
    earlier = np.roll(rows[moved], -1, axis=1)
    context = {name: column[moved] for name, column in lists.columns.items()}
    before = customers_of(past, earlier, context, price)
    time = np.concatenate([at[lists.request[chosen]], when[moved]])
    order = np.argsort(time, kind="stable")
    both = _joined(shown, before).take(order)
    target = np.concatenate([taken[chosen], rows[moved, 0]])[order]
    kinds = np.concatenate([lists.gains[chosen].astype(np.int64) - 1, history.kinds[moved, 0]])
    assert both.context.shape[1] == CONTEXT, "as the towers are asked"
    return Examples(both, target, WORTH[kinds.clip(0, 2)][order])


def _joined(one: Customers, other: Customers) -> Customers:
    parts = ("items", "kinds", "ages", "context")
    return type(one)(*(np.concatenate([getattr(one, p), getattr(other, p)]) for p in parts))


def _means(scores: Array, request: Array, lists: int) -> Array:
    count = np.bincount(request, minlength=lists)
    return np.asarray(np.bincount(request, scores, minlength=lists) / np.maximum(count, 1))


def _meaning(means: Array, taken: Array) -> Calibration:
    if not 0 < taken.sum() < len(taken):
        return Calibration()
    return fit_calibration(means, taken.astype(float))
