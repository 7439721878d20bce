"""What labels say of a day's predictions, and what is expected before they come."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.dataset import Split
from agora.monitoring.table import Measure
from agora.outcomes import table_of as outcomes_of
from agora.performance import Decay, Rows, calibration, decay, estimated, measured

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime

    from agora.evaluation import Estimate
    from agora.stores.lake import Lake
    from agora.system import System

# Rows that are kept one by one where there are more: those with the largest scores, and as many
# drawn from the others, which then count for what they were drawn from.
KEPT = 50_000
FINAL, SO_FAR = "final", "so far"


@dataclass(frozen=True)
class Labelled:
    """Predictions with what is known of them.

    Attributes:
        rows: As `agora.performance` takes them.
        final: Whether the row is older than the label delay.
        known: Whether any label has arrived.
    """

    rows: Rows
    final: np.ndarray[Any, Any]
    known: np.ndarray[Any, Any]

    @property
    def finals(self) -> Rows:
        """Rows whose labels are taken as final."""
        return self.rows.take(np.flatnonzero(self.final))


def performance(
    system: System, lake: Lake, table: str, log: str, day: date, as_of: datetime
) -> Iterator[Measure]:
    """Measures of a day that depend on labels, as known at `as_of`.

    The slice says how ripe they are: `final`, once all of the day is older than the label delay,
    else `so far`, where a prediction nobody complained about counts as negative too early.
    """
    found = labelled(system, lake, table, log, day, day + timedelta(days=1), as_of)
    rows, total = found.rows, float(found.rows.weights.sum())
    if not total:
        return
    n = round(total)
    yield Measure("labelled_share", log, float(rows.weights @ found.known) / total, rows=n)
    final = float(rows.weights @ found.final) / total
    yield Measure("final_share", log, final, rows=n)
    part = f"{log}/{FINAL if final == 1.0 else SO_FAR}"
    for name, estimate in measured(rows).items():
        yield Measure.of(name, part, estimate, n)
    for name, estimate in estimated(rows).items():
        yield Measure.of(f"estimated_{name}", log, estimate, n)
    for name, estimate in calibration(rows).items():
        yield Measure.of(name, part, estimate, n)


def recent_decay(
    system: System,
    lake: Lake,
    table: str,
    log: str,
    day: date,
    as_of: datetime,
    reported: tuple[str, str, Estimate],
) -> Decay:
    """Decay of the champion over the newest days whose labels are final.

    As many days as the report's test span has: intervals of like width are compared.

    Args:
        system: Whose.
        lake: Where logs and outcomes are.
        table: The log's table.
        log: The log.
        day: Day at whose end it is asked.
        as_of: Labels that arrived before count.
        reported: Champion's version, metric and its estimate in the report.
    """
    split = system.split or Split()
    version, metric, estimate = reported
    end = day + timedelta(days=1) - split.label_delay
    start = end - timedelta(days=split.test_days)
    found = labelled(system, lake, table, log, start, end, as_of, version=version)
    return decay(metric, found.finals, estimate)


def labelled(
    system: System,
    lake: Lake,
    table: str,
    log: str,
    start: date,
    end: date,
    as_of: datetime,
    *,
    version: str | None = None,
) -> Labelled:
    """Predictions of the days [start, end), of one model version or all."""
    split = system.split or Split()
    source = f"""(
        select * from ({lake.scan(table)})
        where prediction_date >= date '{start}' and prediction_date < date '{end}'
        {f"and model_version = '{version}'" if version else ""}
    )"""
    held = outcomes_of(system.name)
    if not lake.exists(held):
        raise LookupError(f"{held} has not been built: join the outcomes first")
    above, step = _cut(lake, source)
    costed = system.cost is not None
    frame = lake.query(f"""
        with outcomes as (
            select prediction_id, max_by(label, (precedence, label_arrived_at)) as label
            from ({lake.scan(held)})
            where prediction_date >= date '{start}' and prediction_date < date '{end}'
                and log = '{log}' and label_arrived_at < timestamptz '{as_of.isoformat()}'
            group by prediction_id
        )
        select
            score, decision, label, coalesce(entity_ids[1].id, prediction_id) as entity,
            event_at < timestamptz '{(as_of - split.label_delay).isoformat()}' as final,
            score > {above} or label is not null as kept
            {", request" if costed else ""}
        from {source} left join outcomes using (prediction_id)
        where kept or hash(prediction_id) % {step} = 0
        order by prediction_id
    """)
    total = lake.query(f"select count(*) from {source}").item()
    return _labelled(system, split, frame, total)


def _cut(lake: Lake, source: str) -> tuple[str, int]:
    """Score above which all rows are kept, and of how many others one is."""
    n = lake.query(f"select count(*) from {source}").item()
    if n <= 2 * KEPT:
        return "'-infinity'::double", 1
    top = lake.query(f"select quantile_disc(score, {1 - KEPT / n}) from {source}").item()
    return repr(float(top)), math.ceil((n - KEPT) / KEPT)


def _labelled(system: System, split: Split, frame: pl.DataFrame, total: int) -> Labelled:
    known, kept = frame["label"].is_not_null().to_numpy(), frame["kept"].to_numpy()
    drawn = max(int((~kept).sum()), 1)
    labels = frame["label"]
    if split.unlabelled == "negative":
        labels = labels.fill_null(0.0)
    flagged = frame["decision"].is_in(system.flagged).fill_null(value=False)
    rows = Rows(
        scores=frame["score"].to_numpy(),
        weights=np.where(kept, 1.0, (total - kept.sum()) / drawn),
        flagged=flagged.to_numpy(),
        groups=frame["entity"].rank("dense").cast(pl.Int64).to_numpy() - 1,
        labels=labels.cast(pl.Float64).fill_null(math.nan).to_numpy(),
        costs=_costs(system, frame),
    )
    return Labelled(rows, frame["final"].to_numpy(), known)


def _costs(system: System, frame: pl.DataFrame) -> np.ndarray[Any, Any] | None:
    """Cost of each decision for either label; None where the system does not say."""
    if system.cost is None or frame.is_empty():
        return None
    both = [system.cost(frame.with_columns(label=pl.lit(label))) for label in (0.0, 1.0)]
    if both[0].null_count() == len(frame):
        return None
    return np.stack([costs.fill_null(0.0).to_numpy() for costs in both])
