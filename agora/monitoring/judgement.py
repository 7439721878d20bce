"""Drift of a day's inputs, scores and decisions, as measures and back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import polars as pl

from agora.drift import ALPHA, Drift, drift
from agora.monitoring.samples import OUTPUTS, kept
from agora.monitoring.table import Measure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from agora.stores.lake import Lake

P_VALUE, ALPHA_STATED, EXCESS = "drift_p_value", "drift_alpha", "drift_excess"
METRICS = (P_VALUE, ALPHA_STATED, EXCESS)
SHOWN = 20


def judge(
    lake: Lake, system: str, day: date, inputs: Sequence[str], version: str, training: pl.DataFrame
) -> Drift:
    """Judge a day whose sample is kept.

    Inputs are compared with the days before it, in the log or else in the training set; scores and
    decisions with the days on which the same model answered. Where both can be judged each gets
    half of the alarms, so that together they keep to `ALPHA`.

    Args:
        lake: Where the samples are.
        system: Whose.
        day: The day.
        inputs: Columns that the model was given.
        version: Model that answered on that day.
        training: Rows of the training set, by day.
    """
    before = kept(lake, system, day, inputs)
    families = (
        (before_log(training, before), [name for name in inputs if name in before.columns]),
        (kept(lake, system, day, OUTPUTS, version), list(OUTPUTS)),
    )
    halves = [_judged(samples, day, names, ALPHA / 2) for samples, names in families]
    if all(each.judged for each in halves):
        return _together(*halves)
    alone = [_judged(samples, day, names, ALPHA) for samples, names in families]
    return next((each for each in alone if each.judged), alone[0])


def before_log(training: pl.DataFrame, log: pl.DataFrame) -> pl.DataFrame:
    """Days of the log, and for the days before it those of the training set."""
    columns = [name for name in log.columns if name in training.columns]
    if log.is_empty() or training.is_empty():
        return log
    earlier = training.filter(~pl.col("day").is_in(log["day"].unique().to_list()))
    both = pl.concat([earlier.select(columns), log.select(columns)], how="vertical_relaxed")
    return both.sort("day", maintain_order=True)


def measures(found: Drift) -> Iterator[Measure]:
    """The judgement as measures; columns that lie furthest out, with what is usual as `high`."""
    yield Measure(P_VALUE, "", found.p_value, rows=found.reference_days)
    yield Measure(ALPHA_STATED, "", found.alpha, rows=found.reference_days)
    worst = sorted(found.excess, key=lambda name: -found.excess[name])
    for name in worst[: max(SHOWN, len(found.features))]:
        yield Measure(EXCESS, name, found.excess[name], high=found.critical, rows=found.rows)


def of_measures(rows: pl.DataFrame) -> Drift:
    """What `measures` wrote."""
    values = {row["metric"]: row for row in rows.filter(pl.col("slice") == "").to_dicts()}
    if P_VALUE not in values or values[P_VALUE]["value"] is None:
        days = values.get(P_VALUE, {}).get("rows", 0)
        return Drift(p_value=math.nan, alarmed=False, features=(), reference_days=days)
    excess = rows.filter(pl.col("metric") == EXCESS).sort("value", descending=True)
    p_value, alpha = values[P_VALUE]["value"], values[ALPHA_STATED]["value"]
    return Drift(
        p_value=p_value,
        alarmed=p_value <= alpha,
        features=tuple(excess.filter(pl.col("value") > pl.col("high"))["slice"]),
        alpha=alpha,
        reference_days=values[P_VALUE]["rows"],
        rows=excess["rows"].max() or 0,  # type: ignore[arg-type]
        excess=dict(excess.select("slice", "value").iter_rows()),
        critical=excess["high"].max() if len(excess) else math.nan,  # type: ignore[arg-type]
    )


def _judged(samples: pl.DataFrame, day: date, columns: Sequence[str], alpha: float) -> Drift:
    return drift(samples, day, [name for name in columns if name in samples.columns], alpha)


def _together(inputs: Drift, outputs: Drift) -> Drift:
    """One judgement of two, each of which may raise half of the alarms."""
    worse = min(inputs, outputs, key=lambda each: each.p_value)
    scale = {
        name: value / each.critical * worse.critical
        for each in (inputs, outputs)
        for name, value in each.excess.items()
    }
    return Drift(
        p_value=min(1.0, 2 * worse.p_value),
        alarmed=inputs.alarmed or outputs.alarmed,
        features=tuple(
            sorted((*inputs.features, *outputs.features), key=lambda name: -scale[name])
        ),
        alpha=ALPHA,
        reference_days=min(inputs.reference_days, outputs.reference_days),
        rows=worse.rows,
        excess=scale,
        critical=worse.critical,
    )
