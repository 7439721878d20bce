"""The shift of each entity's log-odds that explains its labels best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl

from agora.adjustments import EDGE
from agora.analysts.log import ids_of

if TYPE_CHECKING:
    from datetime import datetime

    from agora.adjustments import Adjusting

Array = np.ndarray[Any, Any]
Shifts: TypeAlias = dict[str, dict[str, float]]

ROUNDS = 25


def shifts(rows: pl.DataFrame, rule: Adjusting, now: datetime) -> Shifts:
    """Shift of each entity's log-odds that explains its labels best, drawn towards zero.

    The mode of the posterior under a normal prior, over all entities at once: a merchant and a
    device that stand for the same payments share what these say. The model's own scores are what
    was expected, so it does not matter that analysts look at suspicious payments only.
    """
    scores = np.clip(rows["score"].to_numpy(), EDGE, 1 - EDGE)
    expected, labels = np.log(scores / (1 - scores)), rows["label"].to_numpy()
    age = (now - rows["labelled_at"]).dt.total_microseconds().to_numpy() / 1e6
    weights = 0.5 ** (np.maximum(age, 0.0) / rule.half_life.total_seconds())
    known = {each.name: _codes(ids_of(rows, each.name)) for each in rule.entities}
    values = {name: np.zeros(len(ids)) for name, (ids, _) in known.items()}
    counts = {
        name: np.bincount(codes[codes >= 0], minlength=len(ids))
        for name, (ids, codes) in known.items()
    }
    for _ in range(ROUNDS):
        for name, (ids, codes) in known.items():
            total = expected + sum(_of(values[each], known[each][1]) for each in known)
            chance = 1 / (1 + np.exp(-total))
            has = codes >= 0
            pull = _sums(codes, has, weights * (labels - chance), len(ids))
            bend = _sums(codes, has, weights * chance * (1 - chance), len(ids))
            step = (pull - values[name] / rule.prior**2) / (bend + 1 / rule.prior**2)
            step[counts[name] < rule.fewest_labels] = 0.0
            # A step of Newton's may overshoot where the model was very sure.
            values[name] = np.clip(values[name] + np.clip(step, -1, 1), -rule.most, rule.most)
    found = {
        name: {
            str(ids[n]): round(float(values[name][n]), 6)
            for n in np.flatnonzero(np.abs(values[name]) >= rule.least)
        }
        for name, (ids, _) in known.items()
    }
    return {name: table for name, table in found.items() if table}


def _codes(ids: pl.Series) -> tuple[Array, Array]:
    """Distinct ids, and the position of each row's among them; -1 where there is none."""
    distinct = ids.drop_nulls().unique().sort()
    positions = ids.replace_strict(
        distinct, pl.Series(range(len(distinct)), dtype=pl.Int64), default=-1,
        return_dtype=pl.Int64,
    )  # fmt: skip
    return distinct.to_numpy(), positions.to_numpy()


def _of(values: Array, codes: Array) -> Array:
    return np.append(values, 0.0)[codes]


def _sums(codes: Array, has: Array, values: Array, count: int) -> Array:
    return np.bincount(codes[has], weights=values[has], minlength=count)
