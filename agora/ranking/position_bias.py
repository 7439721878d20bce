"""How much less a lower place is looked at, and the weights that undo it.

A click needs that the place is examined and the product wanted: P(click) = examined(place) *
wanted(row) (Richardson et al., 2007). Either places were drawn at random with known chances (as
exploration slots are), then weighted click rates compare them; or the two factors are separated by
regression-EM (Wang et al., 2018). Wanted products' clicks are then weighted by one over the chance
of having been examined (Joachims et al., 2017).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

Array = np.ndarray[Any, Any]

SMALL = 1e-6


def from_exploration(positions: Array, clicks: Array, propensities: Array, places: int) -> Array:
    """Examination of each place relative to the first, from products shown there by chance.

    Args:
        positions: Place of each shown row, from 1, (n,).
        clicks: 0 or 1, (n,).
        propensities: Chance with which the row's product was put at its place, (n,).
        places: How many places to answer for.

    Returns:
        (places,), 1 at the first; NaN where no row was shown.
    """
    # Weighted by one over its chance, each product counts the same at every place.
    weight = 1 / propensities
    clicked = np.bincount(positions - 1, weights=weight * clicks, minlength=places)[:places]
    shown = np.bincount(positions - 1, weights=weight, minlength=places)[:places]
    rate = np.full(places, np.nan)
    np.divide(clicked, shown, out=rate, where=shown > 0)
    if not rate[0] > 0:
        raise ValueError("the first place has no click: nothing to compare with")
    return np.asarray(rate / rate[0])


def regression_em(
    positions: Array,
    clicks: Array,
    groups: Array,
    places: int,
    rounds: int = 60,
    regress: Callable[[Array], Array] | None = None,
) -> Array:
    """Examination of each place relative to the first, from clicks alone.

    Args:
        positions: Place of each shown row, from 1, (n,).
        clicks: 0 or 1, (n,).
        groups: Rows that are wanted alike (a product, or a query and product), codes from 0, (n,);
            the same group must stand at several places, else nothing tells the factors apart.
        places: How many places to answer for.
        rounds: Of expectation and maximisation.
        regress: From how wanted each row seems (n,) to a model's fit of it (n,), where products
            are too many for a mean each; by default the mean of each group.

    Returns:
        (places,), 1 at the first; NaN where no row was shown.
    """
    place = positions - 1
    shown = np.bincount(place, minlength=places)[:places]
    fit = regress or _mean_of(groups)
    examined = 1 / np.arange(1.0, places + 1) ** 0.5
    wanted = np.clip(fit(clicks.astype(float)), SMALL, 1 - SMALL)
    for _ in range(rounds):
        seen, liked = examined[place], wanted
        none = np.maximum(1 - seen * liked, SMALL)
        # Without a click: examined and not wanted, or wanted and not examined, or neither.
        was_seen = np.where(clicks > 0, 1.0, seen * (1 - liked) / none)
        was_liked = np.where(clicks > 0, 1.0, liked * (1 - seen) / none)
        total = np.bincount(place, weights=was_seen, minlength=places)[:places]
        examined = np.clip(total / np.maximum(shown, 1), SMALL, 1.0)
        wanted = np.clip(fit(was_liked), SMALL, 1 - SMALL)
    return np.asarray(np.where(shown > 0, examined / examined[0], np.nan))


def weights(positions: Array, examined: Array, most: float = 10.0) -> Array:
    """Weight of each row, one over its place's examination, at most `most`, (n,).

    The bound trades a little bias for much variance; places beyond those known count as the last.
    """
    known = examined[np.minimum(positions - 1, len(examined) - 1)]
    return np.asarray(np.minimum(1 / np.maximum(np.nan_to_num(known, nan=1.0), SMALL), most))


def _mean_of(groups: Array) -> Callable[[Array], Array]:
    size = np.bincount(groups)

    def mean(values: Array) -> Array:
        found = np.bincount(groups, weights=values) / np.maximum(size, 1)
        return np.asarray(found[groups])

    return mean
