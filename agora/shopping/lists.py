"""Shown lists, as rankers learn from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.calibration import Calibration, fit_calibration
from agora.items import item_keys
from agora.pipeline import columns_of
from agora.ranking.position_bias import regression_em, weights
from agora.shopping.impressions import LABEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.pipeline import Columns

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Lists:
    """Shown lists.

    Attributes:
        columns: One row per list: what the pipeline reads of a request.
        customers: Code of each list's customer; strangers each have their own, (lists,).
        request: Row of the list of each shown product, ascending, (m,).
        keys: Key of the product, (m,).
        positions: Place, from 1, (m,).
        propensities: Chance with which it was put there, NaN where not known, (m,).
        gains: 0 nothing, 1 click, 2 cart, 3 purchase, (m,).
        features: The items' features as of then, (m, f).
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
            self.propensities[rows],
            self.gains[rows],
            self.features[rows],
        )


def lists_of(frame: pl.DataFrame, read: Sequence[str], features: Sequence[str]) -> Lists:
    """Rows of shown products, as a training set has them, by list.

    Args:
        frame: One row per shown product.
        read: Columns of a request.
        features: Columns of a product.
    """
    rows = frame.with_row_index("row")
    # Two lists of one id are two lists where their times differ.
    by_list = rows.group_by("request_id", "event_at", maintain_order=True).agg("row")
    first = by_list["row"].list.first().to_numpy()
    sizes = by_list["row"].list.len().to_numpy()
    order = by_list["row"].explode().to_numpy() if len(by_list) else np.empty(0, np.int64)
    asked = frame[first]
    shown = frame.select("product_id", "position", "propensity", LABEL, *features)[order]
    who = asked["customer_id"].fill_null(pl.lit("list ") + asked["request_id"])
    return Lists(
        columns=columns_of(asked.select(read)),
        customers=who.rank("dense").to_numpy().astype(np.int64) - 1,
        request=np.repeat(np.arange(len(by_list)), sizes),
        keys=item_keys(shown["product_id"]),
        positions=shown["position"].cast(pl.Int64).to_numpy(),
        propensities=shown["propensity"].cast(pl.Float64).fill_null(float("nan")).to_numpy(),
        gains=shown[LABEL].cast(pl.Float64).fill_null(0.0).to_numpy(),
        features=shown.select(pl.col(features).cast(pl.Float64)).to_numpy(),
    )


def fit_examined(lists: Lists, wanted: Array, places: int) -> Array:
    """How much each place is looked at, relative to the first, (places,).

    Args:
        lists: The lists.
        wanted: Code of each shown product, from 0; one where they are wanted alike, (m,).
        places: How many places to answer for.
    """
    shown = lists.positions <= places
    clicked = lists.gains[shown] > 0
    if not clicked.any():
        return np.ones(places)
    found = regression_em(lists.positions[shown], clicked.astype(float), wanted[shown], places)
    # A place that nobody saw is like the one before it; no place is looked at more than the first.
    return np.minimum(np.where(np.isfinite(found), found, 1.0), 1.0)


def looks(lists: Lists, examined: Array, most: float, power: float = 1.0) -> Array:
    """Weight of each shown product: what was taken far down counts more, (m,).

    Args:
        lists: The lists.
        examined: How much each place is looked at.
        most: Largest weight.
        power: 1 undoes the places wholly, 0 not at all.
    """
    seen = weights(lists.positions, examined, most) ** power
    return np.asarray(np.where(lists.gains > 0, seen, 1.0))


def meaning(scores: Array, request: Array, lists: Lists) -> Calibration:
    """From the mean score of a list to the chance that something of it is taken.

    Args:
        scores: Of products, (n,).
        request: Row of the list of each, (n,).
        lists: The lists.
    """
    count = np.bincount(request, minlength=len(lists))
    means = np.bincount(request, scores, minlength=len(lists)) / np.maximum(count, 1)
    taken = lists.taken
    if not 0 < taken.sum() < len(taken):
        return Calibration()
    return fit_calibration(means, taken.astype(float))
