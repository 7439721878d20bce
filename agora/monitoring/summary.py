"""A monitored day in words and numbers, for whoever looks at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from agora.monitoring.judgement import EXCESS

if TYPE_CHECKING:
    from agora.drift import Drift

HIDDEN = (EXCESS, "feature_age_p50_hours", "feature_absent_share", "latency_p50_ms")
"""Metrics left out of the numbers that are drawn over time; the table holds them."""
SHOWN_FEATURES = 10


def figures(measures: pl.DataFrame) -> dict[str, float]:
    """Numbers by `<log>/<metric>` or `<log>/<metric>/<part>`."""
    kept = measures.drop_nulls("value").filter(~pl.col("metric").is_in(HIDDEN))
    found: dict[str, float] = {}
    for metric, part, value in kept.select("metric", "slice", "value").iter_rows():
        log, _, rest = part.partition("/")
        name = "/".join(word for word in (log, metric, rest) if word)
        found[name] = round(value, 6)
    return found


def markdown(measures: pl.DataFrame, drift: Drift) -> str:
    """All measures of a day as a table, after a sentence on drift."""
    lines = [said(drift), "", "| metric | slice | value | 95 % interval | rows |"]
    lines.append("|---|---|---:|---|---:|")
    shown = measures.filter(pl.col("metric") != EXCESS)
    for row in shown.drop_nulls("value").iter_rows(named=True):
        interval = "" if row["low"] is None else f"{row['low']:.4g} to {row['high']:.4g}"
        lines.append(
            f"| {row['metric']} | {row['slice']} | {row['value']:.4g} | {interval} "
            f"| {row['rows']:,} |"
        )
    return "\n".join(lines)


def said(drift: Drift) -> str:
    """What is known of drift, in a sentence."""
    if not drift.judged:
        return (
            f"Drift not judged: {drift.reference_days} earlier days with rows enough; a rate of "
            f"false alarms of {drift.alpha:.0%} needs {round(1 / drift.alpha) - 1}."
        )
    ranked = f"p = {drift.p_value:.3f} among {drift.reference_days} earlier days"
    if not drift.alarmed:
        return f"No drift ({ranked})."
    return f"Drift ({ranked}): {', '.join(drift.features[:SHOWN_FEATURES])}."
