"""Monitoring: what became of a system's predictions, day by day, for every system alike.

`monitor` measures days and writes them to `<system>/monitoring`; `drift_found` and `decay_found`
read from it what sensors act on. In this order: a day's measures, the days whose labels have
ripened since, what sensors ask.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from agora.dataset import Split
from agora.drift import Drift
from agora.evaluation import Estimate
from agora.monitoring.judgement import METRICS, judge, measures, of_measures
from agora.monitoring.labels import SO_FAR, performance, recent_decay
from agora.monitoring.report import write_report
from agora.monitoring.samples import (
    decoded,
    freshness,
    inputs_of,
    keep,
    of_training,
    sampled,
)
from agora.monitoring.table import SCHEMA, Measure, read, table_of, write
from agora.monitoring.traffic import count, traffic
from agora.outcomes import logs_of, matched
from agora.performance import DECAY_POSITIVES, Decay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agora.stores.lake import Lake
    from agora.system import System

__all__ = [
    "SCHEMA", "Champion", "Measure", "Monitored", "decay_found", "drift_found", "monitor",
    "of_training", "read", "ripened", "table_of",
]  # fmt: skip

DECAY, REPORTED = "decay", "decay_reported"
DRAWN = 15
"""Columns that lie furthest out and are drawn in Evidently's report beside the first ones."""
SAMPLED = 20_000
"""Rows from which a day's features are judged."""
# Ages in days at which a day is measured again: verdicts come within a day, chargebacks for weeks.
AGES = (1, 3, 14, 30, 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """What the model that serves was when it was evaluated.

    Attributes:
        version: Its version.
        metric: The report's primary metric.
        estimate: The metric in the report.
    """

    version: str
    metric: str
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitored:
    """A monitored day.

    Attributes:
        day: The day.
        measures: Its rows of the table.
        drift: Its judgement.
        report: Evidently's HTML file; None where there was nothing to compare.
    """

    day: date
    measures: pl.DataFrame
    drift: Drift
    report: Path | None


def monitor(
    system: System,
    lake: Lake,
    day: date,
    as_of: datetime,
    *,
    champion: Champion | None = None,
    reports: Path | None = None,
    training: pl.DataFrame | None = None,
) -> Monitored:
    """Measure a day and replace its rows in the table; a day without predictions leaves none.

    Args:
        system: Whose.
        lake: Where logs, outcomes, the training set and the table are.
        day: Day of the predictions.
        as_of: Labels that arrived before count.
        champion: What decay is judged against; None: it is not judged.
        reports: Folder of the Evidently reports; None: none is written.
        training: What `of_training` gave, for a run of several days; None: it is read.
    """
    logs = {log: (table, count(lake, table, day)) for log, table in logs_of(system.name).items()}
    logs = {log: found for log, found in logs.items() if found[1]}
    found, report = Drift(p_value=math.nan, alarmed=False, features=()), None
    if not logs:
        return Monitored(day=day, measures=pl.DataFrame(schema=SCHEMA), drift=found, report=report)
    rows: list[Measure] = list(_unmatched(system, lake, day))
    rows += system.measures(lake, day) if system.measures else ()
    for log, (table, n) in logs.items():
        rows += traffic(lake, table, log, day, n)
        rows += performance(system, lake, table, log, day, as_of)
        rows += _decay(system, lake, table, log, day, as_of, champion)
    # One log stands for the day: the same requests often go through both.
    log, (table, n) = max(logs.items(), key=lambda item: item[1][1])
    sample = sampled(lake, table, day, n, SAMPLED)
    rows += freshness(system, log, sample)
    training = of_training(system, lake) if training is None else training
    found, report = _compared(system, lake, day, log, sample, training, reports)
    rows += measures(found)
    return Monitored(
        day=day,
        measures=write(lake, system.name, day, rows, as_of),
        drift=found,
        report=report,
    )


def ripened(system: System, lake: Lake, before: date, as_of: datetime) -> list[date]:
    """Measure again the days before one whose labels have ripened since; returns these days.

    A day is measured again when it passes one of `AGES` or the label delay, so an old day costs
    something a few times only.
    """
    delay = (system.split or Split()).label_delay
    ages = sorted({timedelta(days=age) for age in AGES} | {delay, delay + timedelta(days=1)})
    held = read(lake, system.name, before - max(ages) - timedelta(days=30), before, "final_share")
    done = []
    for day, seen in held.group_by("day").agg(pl.col("as_of").min()).sort("day").iter_rows():
        end = datetime.combine(day, datetime.min.time(), as_of.tzinfo) + timedelta(days=1)
        if day < before and any(seen < end + age <= as_of for age in ages):
            _measure_again(system, lake, day, as_of)
            done.append(day)
    return done


def drift_found(lake: Lake, system: str, day: date) -> Drift:
    """The judgement of a day; not judged where the day was not monitored."""
    return of_measures(read(lake, system, day, day, *METRICS))


def decay_found(lake: Lake, system: str, day: date) -> Decay | None:
    """Whether the champion had decayed at the end of a day; None where nobody looked.

    Of both logs the one with more positives speaks.
    """
    rows = read(lake, system, day, day, DECAY, REPORTED).sort("rows", descending=True)
    found = rows.filter(pl.col("metric") == DECAY).head(1).to_dicts()
    if not found:
        return None
    part = pl.col("slice") == found[0]["slice"]
    reported = rows.filter(part & (pl.col("metric") == REPORTED)).row(0, named=True)
    now, then = _estimate(found[0]), _estimate(reported)
    enough = found[0]["rows"] >= DECAY_POSITIVES
    return Decay(
        metric=str(found[0]["slice"]).partition("/")[2],
        measured=now,
        reported=then,
        positives=found[0]["rows"],
        decayed=enough and now.high < then.low,
    )


def _unmatched(system: System, lake: Lake, day: date) -> Iterator[Measure]:
    """Share of the label events of the day that belong to no prediction."""
    events, known = matched(system, lake, day)
    if events:
        yield Measure("unmatched_share", "", 1 - known / events, rows=events)


def _decay(
    system: System,
    lake: Lake,
    table: str,
    log: str,
    day: date,
    as_of: datetime,
    champion: Champion | None,
) -> Iterator[Measure]:
    """The champion's recent performance and its report's; `rows` are positives."""
    if champion is None:
        return
    against = (champion.version, champion.metric, champion.estimate)
    found = recent_decay(system, lake, table, log, day, as_of, against)
    part = f"{log}/{found.metric}"
    yield Measure.of(DECAY, part, found.measured, found.positives)
    yield Measure.of(REPORTED, part, found.reported, found.positives)


def _compared(
    system: System,
    lake: Lake,
    day: date,
    log: str,
    sample: pl.DataFrame,
    training: pl.DataFrame,
    reports: Path | None,
) -> tuple[Drift, Path | None]:
    """Drift of the day, whose sample is kept for the days after it, and Evidently's report."""
    frame = decoded(system, sample)
    # The version that answered most; a day on which another took over belongs to that one.
    version = str(sample["model_version"].mode().sort()[0])
    keep(lake, system.name, day, log, version, frame)
    training = training.filter(pl.col("day") < day)
    found = judge(lake, system.name, day, inputs_of(system), version, training)
    if reports is None or training.is_empty():
        return found, None
    shuffled = training.sample(fraction=1.0, shuffle=True, seed=0)
    worst = sorted(found.excess, key=lambda name: -found.excess[name])[:DRAWN]
    path = reports / system.name / f"{day}.html"
    return found, write_report(frame, shuffled, path, worst)


def _measure_again(system: System, lake: Lake, day: date, as_of: datetime) -> None:
    """Replace what of a day's measures depends on labels."""
    rows: list[Measure] = []
    for log, table in logs_of(system.name).items():
        if count(lake, table, day):
            rows += performance(system, lake, table, log, day, as_of)
    held = read(lake, system.name, day, day)
    # What was said of unripe labels goes, even where nothing can be said in its place.
    old = pl.col("metric").is_in([row.metric for row in rows]) | pl.col("slice").str.ends_with(
        f"/{SO_FAR}"
    )
    others = held.filter(~old).select(Measure._fields).iter_rows()
    write(lake, system.name, day, [*(Measure(*row) for row in others), *rows], as_of)


def _estimate(row: dict[str, float | None]) -> Estimate:
    return Estimate(*(math.nan if row[k] is None else row[k] for k in ("value", "low", "high")))  # type: ignore[arg-type]
