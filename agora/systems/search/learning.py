"""What is learned, and from which rows.

Categories and the looks that places get are learned from the training span, the rankers from the
calibration span: a category that was learned from a list's own clicks would count as sure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.calibration import Calibration, fit_calibration
from agora.items import item_keys
from agora.pipeline import columns_of
from agora.ranking import first_tier, lambdarank
from agora.ranking.lambdarank import Grouped
from agora.ranking.position_bias import regression_em, weights
from agora.systems.search.categories import Categories
from agora.systems.search.features import INPUTS, OF_ITEM, READ

if TYPE_CHECKING:
    from agora.boosting import Boosters
    from agora.pipeline import Columns
    from agora.retrieval.words import Analyzer
    from agora.systems.search.index import Index
    from agora.systems.search.params import Params

Array = np.ndarray[Any, Any]

LABEL = "gain"
PLACES = 10  # Of a page of results.
# Latest part of the calibration span that chooses the number of trees.
LATER = 0.25
FEWEST_LISTS = 20


@dataclass(frozen=True, slots=True)
class Lists:
    """Shown lists.

    Attributes:
        columns: One row per list: what the pipeline reads of a request.
        customers: Code of each list's customer; strangers each have their own, (lists,).
        request: Row of the list of each shown product, ascending, (m,).
        keys: Key of the product, (m,).
        positions: Place, from 1, (m,).
        gains: 0 nothing, 1 click, 2 cart, 3 purchase, (m,).
        features: Columns `OF_ITEM` as of then, (m, len(OF_ITEM)).
    """

    columns: Columns
    customers: Array
    request: Array
    keys: Array
    positions: Array
    gains: Array
    features: Array

    def __len__(self) -> int:
        return len(self.customers)

    @property
    def taken(self) -> Array:
        """Lists of which something was taken, (lists,) bool."""
        return np.bincount(self.request, weights=self.gains, minlength=len(self)) > 0

    def take(self, chosen: Array) -> Lists:
        """The chosen lists, in their order (ascending)."""
        place = np.full(len(self), -1)
        place[chosen] = np.arange(len(chosen))
        rows = np.flatnonzero(place[self.request] >= 0)
        return Lists(
            {name: column[chosen] for name, column in self.columns.items()},
            self.customers[chosen],
            place[self.request[rows]],
            self.keys[rows],
            self.positions[rows],
            self.gains[rows],
            self.features[rows],
        )


def lists_of(frame: pl.DataFrame) -> Lists:
    """Rows of shown products, as a training set has them, by list."""
    rows = frame.with_row_index("row")
    # Two lists of one id are two lists where their times differ.
    by_list = rows.group_by("request_id", "event_at", maintain_order=True).agg("row")
    first = by_list["row"].list.first().to_numpy()
    sizes = by_list["row"].list.len().to_numpy()
    order = by_list["row"].explode().to_numpy() if len(by_list) else np.empty(0, np.int64)
    asked, shown = frame[first], frame[order]
    who = asked["customer_id"].fill_null(pl.lit("list ") + asked["request_id"])
    return Lists(
        columns=columns_of(asked.select(READ)),
        customers=who.rank("dense").to_numpy().astype(np.int64) - 1,
        request=np.repeat(np.arange(len(by_list)), sizes),
        keys=item_keys(shown["product_id"]),
        positions=shown["position"].cast(pl.Int64).to_numpy(),
        gains=shown[LABEL].cast(pl.Float64).fill_null(0.0).to_numpy(),
        features=shown.select(pl.col(OF_ITEM).cast(pl.Float64)).to_numpy(),
    )


def fit_categories(lists: Lists, index: Index, analyzer: Analyzer) -> Categories:
    """Categories of what was taken after queries, and of the titles."""
    rows = index.rows_of(lists.keys)
    taken = np.flatnonzero((lists.gains > 0) & (rows >= 0))
    # What was typed often is cut once.
    stems = {query: tuple(analyzer.stems(query)) for query in set(lists.columns["query"])}
    queries = lists.columns["query"][lists.request[taken]]
    names = np.array(index.names, dtype=object)
    done = [
        (stems[query], name, gain)
        for query, name, gain in zip(
            queries, names[index.categories[rows[taken]]], lists.gains[taken].tolist(), strict=True
        )
    ]
    titles = [
        (tuple(analyzer.stems(title)), name)
        for title, name in zip(
            index.titles.to_list(), names[index.categories].tolist(), strict=True
        )
    ]
    return Categories.fit(done, titles)


def fit_examined(lists: Lists) -> Array:
    """How much each place is looked at, relative to the first, (PLACES,)."""
    shown = lists.positions <= PLACES
    clicked = lists.gains[shown] > 0
    if not clicked.any():
        return np.ones(PLACES)
    # A product is wanted alike by those who type the same.
    typed = np.unique(lists.columns["query"].astype(str), return_inverse=True)[1][lists.request]
    wanted = np.unique(
        np.column_stack([typed, lists.keys])[shown], axis=0, return_inverse=True
    )[1].ravel()  # fmt: skip
    found = regression_em(lists.positions[shown], clicked.astype(float), wanted, PLACES)
    # A place that nobody saw is like the one before it; no place is looked at more than the first.
    return np.minimum(np.where(np.isfinite(found), found, 1.0), 1.0)


def gains_seen(lists: Lists, examined: Array, most: float) -> Array:
    """Weight of each shown product: what was taken far down counts more, (m,)."""
    seen = weights(lists.positions, examined, most)
    return np.asarray(np.where(lists.gains > 0, seen, 1.0))


@dataclass(frozen=True, slots=True)
class Rankers:
    """The fitted rankers, and what their scores mean.

    Attributes:
        first: Over all candidates.
        trees: Over those left open.
        linear: Share of the first's score beside that of the trees.
        meanings: By ranker: mean score of a list to the chance that something of it is taken.
    """

    first: first_tier.FirstTier
    trees: Boosters
    linear: float
    meanings: tuple[Calibration, Calibration]

    def raw(self, matrix: Array) -> Array:
        """Final scores of rows, (n,)."""
        return stacked(self.first, self.trees, self.linear, matrix)


def fit_rankers(sample: Grouped, shown: Array, lists: Lists, params: Params) -> Rankers:
    """Both rankers from shown lists.

    Args:
        sample: Inputs by list: what was shown, and what was found and not shown.
        shown: Which rows of the sample were shown, (n,) bool.
        lists: The lists.
        params: How.

    Raises:
        ValueError: No list holds something that was taken beside something that was not.
    """
    first = first_tier.FirstTier.fit(sample)
    cut = int(len(lists) * (1 - LATER))
    early, late = sample.groups < cut, sample.groups >= cut
    if min(_useful(sample, early), _useful(sample, late)) >= FEWEST_LISTS:
        trees = lambdarank.train(_part(sample, early), INPUTS, params.ranker, _part(sample, late))
    else:
        trees = lambdarank.train(sample, INPUTS, params.ranker)
    seen = _part(sample, shown)
    meanings = tuple(
        _meaning(_means(scores, seen.groups, len(lists)), lists.taken)
        for scores in (
            first.raw(seen.matrix),
            stacked(first, trees, params.linear, seen.matrix),
        )
    )
    return Rankers(first, trees, params.linear, (meanings[0], meanings[1]))


def stacked(first: first_tier.FirstTier, trees: Boosters, linear: float, matrix: Array) -> Array:
    """What the trees say, and a share of what the linear ranker says, (n,)."""
    return np.asarray(trees.raw(matrix) + linear * first.raw(matrix))


def _useful(sample: Grouped, chosen: Array) -> int:
    """Lists of the chosen rows that hold something taken."""
    return len(np.unique(sample.groups[chosen & (sample.gains > 0)]))


def _part(sample: Grouped, chosen: Array) -> Grouped:
    assert sample.weights is not None, "every row has one"
    return Grouped(
        sample.matrix[chosen], sample.gains[chosen], sample.groups[chosen], sample.weights[chosen]
    )


def _means(scores: Array, request: Array, lists: int) -> Array:
    count = np.bincount(request, minlength=lists)
    return np.asarray(np.bincount(request, scores, minlength=lists) / np.maximum(count, 1))


def _meaning(means: Array, taken: Array) -> Calibration:
    if not 0 < taken.sum() < len(taken):
        return Calibration()
    return fit_calibration(means, taken.astype(float))
