"""What the log of a driven life says of other lists, and what is true.

Both are of one question: clicks per visit if these lists were shown at the requests of the log,
each in the state in which it was made. What another life would have led to (other clicks, so other
sessions, so other pages) is not asked: the weights of all pages of a visit multiply, and no log of
this size can tell it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from agora.ranking import off_policy
from agora.ranking.rewards import cross_fitted

if TYPE_CHECKING:
    from benchmarks.models.fortnight import Fortnight

PLACE = ["list_id", "position"]


def estimated(life: Fortnight, draws: int = 1_000) -> tuple[float, dict[str, off_policy.Estimate]]:
    """The truth, and the estimates with their intervals over visits.

    Args:
        life: With its other lists.
        draws: Of the bootstrap.
    """
    visits = life.judged["session_id"].n_unique()
    truth = float(life.judged["chance"].sum()) / visits
    clicks = (
        life.frames["interactions"]
        .filter(kind="click")
        .select("list_id", "product_id", reward=pl.lit(1.0))
        .unique()
    )
    wanted = life.instead.select(*PLACE, wanted="product_id", asked="score")
    rows = (
        life.lists.join(clicks, on=["list_id", "product_id"], how="left")
        .join(wanted, on=PLACE)
        .join(life.judged.select("list_id", "session_id").unique(), on="list_id")
        .with_columns(
            pl.col("reward").fill_null(0.0),
            target=(pl.col("product_id") == pl.col("wanted")).cast(pl.Float64),
        )
    )
    assert len(rows) == len(life.lists), "the other list is as long, place for place"
    sessions = rows["session_id"].rank("dense").to_numpy().astype(np.int64) - 1
    positions, rewards = rows["position"].to_numpy(), rows["reward"].to_numpy()
    log = off_policy.Log(
        sessions, positions, rewards, rows["propensity"].to_numpy(), rows["target"].to_numpy()
    )
    model = cross_fitted(
        sessions, positions, rewards, rows["score"].to_numpy(), rows["asked"].to_numpy()[:, None]
    )
    return truth, off_policy.estimates(log, model, draws=draws)
