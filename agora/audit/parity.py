"""The skew gate: what was served must be what the offline path gives.

Of each logged prediction every feature row is looked up under its name in the feature table and
compared value by value, its time is held against what was known when the answer was given, and the
score is computed again from the offline rows. One difference closes the gate.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from agora.audit.replay import (
    Load,
    differ,
    joined,
    newest,
    offline,
    recompute,
    requests_of,
    rescore,
    used,
)
from agora.candidates import FALLBACKS, KEPT
from agora.pipeline import PipelineError, columns_of
from agora.point_in_time import KNOWN_AT, point_in_time
from agora.schema import TIME
from agora.stores.indexes import IndexGoneError

if TYPE_CHECKING:
    from agora.features import FeatureSet
    from agora.pipeline import Pipeline
    from agora.stores.lake import Lake
    from agora.system import System

# One row and many take the same path, but a matrix product may add in another order.
SCORE_TOLERANCE = 1e-6
CHECKED = 10_000
FOUND = {"prediction_id": pl.String, "kind": pl.String, "where": pl.String}
STORE = "store"


@dataclass(frozen=True)
class Parity:
    """What the comparison found.

    Attributes:
        rows: Predictions compared.
        mismatches: One row per prediction and difference: `prediction_id`, `kind` and `where` (a
            column, or a feature set). Kinds: `value` (another value than the row of that name),
            `unknown` (the feature table has no such row), `future` (not known yet when it was
            used), `stale` (older than the set's freshness allows), `score`, `model` (the version
            cannot be loaded).
        scored: Predictions whose score was computed again.
    """

    rows: int
    mismatches: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=FOUND))
    scored: int = 0

    @property
    def passed(self) -> bool:
        """Whether everything is equal."""
        return self.mismatches.is_empty()

    def __str__(self) -> str:
        if self.passed:
            return f"{self.rows:,} predictions: features and scores are equal offline"
        worst = self.mismatches.group_by("kind", "where").len().sort("len", descending=True)
        named = "; ".join(f"{kind} {where}: {n:,}" for kind, where, n in worst.head(5).iter_rows())
        example = self.mismatches["prediction_id"][0]
        return (
            f"{self.mismatches['prediction_id'].n_unique():,} of {self.rows:,} predictions differ "
            f"offline ({named}); look at one with: agora trace {example}"
        )


def parity(system: System, lake: Lake, load: Load, limit: int = CHECKED) -> Parity:
    """Compare the newest live predictions with the offline path.

    Args:
        system: Whose.
        lake: Where log and feature tables are.
        load: Gives a version's pipeline.
        limit: Predictions at most.
    """
    return compare(system, lake, newest(lake, system.name, limit), load)


def compare(system: System, lake: Lake, rows: pl.DataFrame, load: Load) -> Parity:
    """Compare logged predictions with the offline path."""
    if rows.is_empty():
        return Parity(0)
    requests = requests_of(system, rows)
    features, found = {}, []
    for each in system.feature_sets:
        logged = used(rows, each)
        ids = requests[system.entities[each.entity]]
        held = offline(lake, each, ids, logged)
        found += _features(rows, each, logged, held)
        found += _times(system, lake, rows, requests, each, logged)
        features[each.id] = held.with_columns(logged["feature_at"])
    scores, scored = _scores(system, rows, joined(system, requests, features), load)
    found += scores
    return Parity(len(rows), pl.concat([pl.DataFrame(schema=FOUND), *found]), scored)


def _features(
    rows: pl.DataFrame, feature_set: FeatureSet, logged: pl.DataFrame, held: pl.DataFrame
) -> list[pl.DataFrame]:
    """Values that differ from those of the row that they were read from."""
    has_row = logged["feature_at"].is_not_null()
    found = [_at(rows, has_row & ~held["is_known"], "unknown", feature_set.id)]
    for column, default in zip(feature_set.columns, feature_set.defaults, strict=True):
        expected = pl.select(
            pl.when(has_row).then(held[column]).otherwise(pl.lit(default))
        ).to_series()
        compared = held["is_known"] | (~has_row & logged[column].is_not_null())
        wrong = compared & differ(logged[column], expected)
        found.append(_at(rows, wrong, "value", column))
    return found


def _times(
    system: System,
    lake: Lake,
    rows: pl.DataFrame,
    requests: pl.DataFrame,
    feature_set: FeatureSet,
    logged: pl.DataFrame,
) -> list[pl.DataFrame]:
    """Rows that could not have been known yet, and those that a working publisher had replaced."""
    entity = feature_set.entity
    keys = {entity: system.entities[entity]}
    # Only the times are asked for: one feature is read, not a hundred.
    timed = replace(feature_set, features=feature_set.features[:1])
    spine = requests.select(keys[entity], "event_at")
    column = feature_set.time_column

    def known(before: pl.Series) -> pl.Series:
        asked = spine.with_columns(before.alias(KNOWN_AT))
        return point_in_time(lake, asked, keys, [timed])[column]

    served, at = rows["predicted_at"].cast(TIME), logged["feature_at"]
    without_store = rows["fallbacks"].fill_null([]).list.contains(STORE)
    long_known = known(served - feature_set.freshness)
    stale = long_known.is_not_null() & (at.is_null() | (at < long_known).fill_null(value=False))
    future = (logged["arrived_at"] >= served).fill_null(value=False)
    return [
        _at(rows, stale & ~without_store, "stale", feature_set.id),
        _at(rows, future, "future", feature_set.id),
    ]


def _scores(
    system: System, rows: pl.DataFrame, frame: pl.DataFrame, load: Load
) -> tuple[list[pl.DataFrame], int]:
    """Scores that differ from those of the offline rows, by the version that answered.

    A list that was made in batch, and one of an index that is no longer kept, is not scored again.
    """
    found, scored = [], 0
    fallbacks = rows["fallbacks"].fill_null([])
    rung_of = pl.when(pl.col("tier").is_in(FALLBACKS)).then("tier").otherwise(pl.lit(""))
    answered_by = rows.select("model_version", rung_of.alias("rung"), fallbacks=fallbacks)
    groups = answered_by.with_row_index("row").group_by("model_version", "fallbacks", "rung")
    for (version, skipped, rung), part in groups:
        if rung == KEPT:
            continue
        places = part["row"].to_numpy()
        here = rows[places]
        try:
            pipeline = load(str(version))
        except IndexGoneError:
            continue
        except (LookupError, PipelineError):
            found.append(_at(here, pl.repeat(True, len(here), eager=True), "model", str(version)))
            continue
        again = recompute(pipeline, frame[places], list(skipped), str(rung))
        wrong = differ(here["score"], pl.Series(again), SCORE_TOLERANCE)
        found.append(_at(here, wrong, "score", f"version {version}"))
        scored += len(here)
    return found, scored


def _at(rows: pl.DataFrame, wrong: pl.Series, kind: str, where: str) -> pl.DataFrame:
    return rows.filter(wrong).select("prediction_id", kind=pl.lit(kind), where=pl.lit(where))


def alike(system: System, lake: Lake, pipeline: Pipeline, limit: int = 200) -> Parity:
    """Whether a pipeline that has not served yet scores requests alone as it does in a batch."""
    rows = newest(lake, system.name, limit)
    if rows.is_empty():
        return Parity(0)
    features = {each.id: used(rows, each) for each in system.feature_sets}
    frame = joined(system, requests_of(system, rows), features)
    columns = columns_of(frame)
    together = pl.Series(rescore(pipeline, columns))
    alone = [
        rescore(pipeline, {name: values[place : place + 1] for name, values in columns.items()})
        for place in range(len(frame))
    ]
    wrong = differ(together, pl.Series(np.concatenate(alone)), SCORE_TOLERANCE)
    found = _at(rows, wrong, "score", f"version {pipeline.version}, alone and in a batch")
    return Parity(len(rows), found, len(rows))
