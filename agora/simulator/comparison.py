"""Whether one way to make lists sells more than another, with how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agora.simulator.arrays import Floats

    Frames = Mapping[str, pl.DataFrame]

CERTAIN = 1.959964
"""Standard errors on each side of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over visits with its 95 % interval (normal approximation)."""

    mean: float
    low: float
    high: float
    sessions: int


def purchases_per_session(frames: Frames) -> Estimate:
    """Purchases per visit, over all visits that were shown something or searched."""
    return _estimate(_purchases(frames)["purchases"].to_numpy().astype(float))


def difference(one: Frames, other: Frames) -> Estimate:
    """How many more purchases per visit one sold than the other, on the same visits.

    Args:
        one: Tables that `drive` gave.
        other: Tables of the same days, numbers of visits and seed.
    """
    both = (
        _purchases(one)
        .join(_purchases(other), on="session_id", how="full", coalesce=True, suffix="_other")
        .fill_null(0)
    )
    more = both.select(pl.col("purchases").cast(pl.Float64) - pl.col("purchases_other"))
    return _estimate(more.to_series().to_numpy())


def together(days: list[dict[str, pl.DataFrame]]) -> dict[str, pl.DataFrame]:
    """Tables of several days as one of each."""
    return {name: pl.concat([day[name] for day in days]) for name in days[0]}


def _purchases(frames: Frames) -> pl.DataFrame:
    seen = pl.concat([frames[name].select("session_id") for name in ("impressions", "searches")])
    bought = frames["interactions"].filter(kind="purchase").group_by("session_id")
    return (
        seen.unique()
        .join(bought.agg(purchases=pl.len().cast(pl.Int64)), on="session_id", how="left")
        .fill_null(0)
        .sort("session_id")
    )


def _estimate(values: Floats) -> Estimate:
    count = len(values)
    mean = float(values.mean()) if count else 0.0
    error = CERTAIN * float(values.std(ddof=1)) / np.sqrt(count) if count > 1 else np.inf
    return Estimate(mean, mean - float(error), mean + float(error), count)
