"""What is learned, and from which rows.

The models of taste learn from the training span. The rankers learn from the calibration span, on
scores of models that have not seen it: what the towers learned by heart would else count as sure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.ranking import first_tier, lambdarank
from agora.ranking.collaborative import FactoredEase
from agora.ranking.interactions import interactions
from agora.ranking.lambdarank import Grouped
from agora.ranking.towers import Examples, TwoTower
from agora.shopping import lists as shopping
from agora.shopping.catalogue import KEY
from agora.shopping.history import WORTH
from agora.systems.recommendation.features import INPUTS, OF_ITEM, READ
from agora.systems.recommendation.history import History, history_of
from agora.systems.recommendation.tastes import CONTEXT, Tastes, customers_of, items_of

if TYPE_CHECKING:
    import polars as pl

    from agora.boosting import Boosters
    from agora.calibration import Calibration
    from agora.ranking.interactions import Sparse
    from agora.ranking.tower_inputs import Customers
    from agora.shopping.lists import Lists
    from agora.systems.recommendation.params import Params

Array = np.ndarray[Any, Any]

PLACES = 12  # Of the home page.
# Of a click far down, over one at the first place.
MOST_WEIGHT = 5.0
# Rows per leaf fall with the rows there are, so that few rows still split.
LEAVES_OF_ROWS = 50


def lists_of(frame: pl.DataFrame) -> Lists:
    """Rows of shown products, as a training set has them, by list."""
    return shopping.lists_of(frame, READ, OF_ITEM)


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
    if start is None:
        towers = TwoTower.fit(examples, items, params.towers)
    else:
        towers = TwoTower.fit(examples, items, params.towers.update, start=start.towers)
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
    return shopping.fit_examined(lists, np.unique(lists.keys, return_inverse=True)[1], PLACES)


def looks(lists: Lists, examined: Array, power: float = 1.0) -> Array:
    """Weight of each shown product: what was taken far down counts more, (m,).

    Args:
        lists: The lists.
        examined: How much each place is looked at.
        power: 1 undoes the places wholly, 0 not at all.
    """
    return shopping.looks(lists, examined, MOST_WEIGHT, power)


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
    meanings = (
        shopping.meaning(first.raw(matrix), request, lists),
        shopping.meaning(trees.raw(matrix), request, lists),
    )
    return Rankers(first, trees, meanings, float(lists.taken.mean()))


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
