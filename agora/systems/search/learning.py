"""What is learned, and from which rows.

Categories and the looks that places get are learned from the training span, the rankers from the
calibration span: a category that was learned from a list's own clicks would count as sure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.ranking import first_tier, lambdarank
from agora.ranking.lambdarank import Grouped
from agora.shopping import lists as shopping
from agora.systems.search.categories import Categories
from agora.systems.search.features import INPUTS, OF_ITEM, READ

if TYPE_CHECKING:
    import polars as pl

    from agora.boosting import Boosters
    from agora.calibration import Calibration
    from agora.retrieval.words import Analyzer
    from agora.shopping.lists import Lists
    from agora.systems.search.index import Index
    from agora.systems.search.params import Params

Array = np.ndarray[Any, Any]

PLACES = 10  # Of a page of results.
# Latest part of the calibration span that chooses the number of trees.
LATER = 0.25
FEWEST_LISTS = 20


def lists_of(frame: pl.DataFrame) -> Lists:
    """Rows of shown products, as a training set has them, by list."""
    return shopping.lists_of(frame, READ, OF_ITEM)


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
    # A product is wanted alike by those who type the same.
    typed = np.unique(lists.columns["query"].astype(str), return_inverse=True)[1][lists.request]
    both = np.column_stack([typed, lists.keys])
    wanted = np.unique(both, axis=0, return_inverse=True)[1].ravel()
    return shopping.fit_examined(lists, wanted, PLACES)


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
    both = stacked(first, trees, params.linear, seen.matrix)
    meanings = (
        shopping.meaning(first.raw(seen.matrix), seen.groups, lists),
        shopping.meaning(both, seen.groups, lists),
    )
    return Rankers(first, trees, params.linear, meanings)


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
