"""Drift: whether a day differs from the days before it more than days usually differ.

A two-sample test with thousands of rows calls every weekend a drift. Here a day's distance from the
week before it is ranked among the distances of earlier days from the weeks before them, measured in
the same way, so the share of false alarms is what `alpha` says whatever the columns hold, as long
as days vary as they did. In this order: `drift`, its distances, its reference days.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

Array = np.ndarray[Any, Any]

ALPHA = 0.02
"""Share of stable days that may raise an alarm: one in seven weeks."""
# Every weekday once.
WINDOW = 7
# Older days say little of how days vary now.
MOST_DAYS = 105
# More rows find smaller changes than matter; fewer find none.
MOST_ROWS, FEWEST_ROWS = 500, 100
BINS = 32
STEPS = np.arange(1, BINS) / BINS
EDGE_VALUES = 20_000
CATEGORIES = 20
# A day that lies this many times as far out as any day before it is an event of its own: kept among
# the reference days it would hide the next one.
EVENT = 1.5
FEWEST_BEFORE_EVENT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What is known of a day.

    Attributes:
        p_value: Share of days at least as unusual, this one included; NaN where not judged.
        alarmed: Whether the p-value is at most `alpha`.
        features: Columns that lie further out than any column does on usual days, worst first; the
            chance of naming one without need is at most `alpha` over all columns together.
        alpha: The stated false-alarm rate.
        reference_days: Days that it was ranked among.
        rows: Rows of each day that were compared.
        excess: Column to its distance, in units of that column's usual variation.
        critical: Largest excess of any column on usual days.
    """

    p_value: float
    alarmed: bool
    features: tuple[str, ...]
    alpha: float = ALPHA
    reference_days: int = 0
    rows: int = 0
    excess: Mapping[str, float] = field(default_factory=dict)
    critical: float = math.nan

    @property
    def judged(self) -> bool:
        """Whether there were rows and reference days enough to say anything."""
        return not math.isnan(self.p_value)


def drift(samples: pl.DataFrame, day: date, columns: Sequence[str], alpha: float = ALPHA) -> Drift:
    """Judge a day against the days before it.

    Args:
        samples: Random rows of the day and of days before it: `day` and the columns; text is
            compared by category, everything else by rank.
        day: The day in question.
        columns: What is compared.
        alpha: Share of stable days that may raise an alarm.

    Returns:
        Not judged, where the day has fewer than `FEWEST_ROWS` rows or fewer than 1 / alpha - 1
        days can be ranked with it.
    """
    days, rows = _days(samples, day)
    fewest = math.ceil(1 / alpha - 1e-9) - 1
    if len(days) - 1 - WINDOW < fewest or not columns:
        found = max(0, len(days) - 1 - WINDOW)
        return Drift(
            p_value=math.nan, alarmed=False, features=(), alpha=alpha, reference_days=found,
            rows=rows,
        )  # fmt: skip
    taken = _equal(samples, days, rows)
    distances = np.stack([_distances(taken[name], days, rows) for name in columns], axis=1)
    return _ranked(_excess(distances, rows), columns, alpha, fewest, rows)


def _days(samples: pl.DataFrame, day: date) -> tuple[list[date], int]:
    """Days in order, the one in question last, and how many rows of each are compared."""
    counts = samples.filter(pl.col("day") <= day).group_by("day").len().sort("day")
    own = counts.filter(pl.col("day") == day)["len"].sum()
    rows = min(MOST_ROWS, int(own))
    if rows < FEWEST_ROWS:
        return [], rows
    # A few thin days must not thin out all others; they are left out.
    usual = counts["len"].quantile(0.1, "lower") or 0
    rows = max(FEWEST_ROWS, min(rows, int(usual)))
    return counts.filter(pl.col("len") >= rows)["day"].to_list()[-MOST_DAYS - WINDOW - 1 :], rows


def _equal(samples: pl.DataFrame, days: Sequence[date], rows: int) -> pl.DataFrame:
    """So many rows of each day, days in order: distances of unequal samples cannot be compared."""
    order = pl.int_range(pl.len()).shuffle(seed=0).over("day")
    return (
        samples.filter(pl.col("day").is_in(days)).filter(order < rows).sort("day")
    )  # fmt: skip


def _distances(values: pl.Series, days: Sequence[date], rows: int) -> Array:
    """How unlike the days before it each day is, the first `WINDOW` left out.

    The smaller one of two distances: from the middle of the week before, and from the same weekday
    in it. A Sunday is not unlike other days for being a Sunday.
    """
    codes, kinds, ordered = _codes(values)
    cells = np.repeat(np.arange(len(days)), rows) * kinds + codes
    shares = np.bincount(cells, minlength=len(days) * kinds).reshape(-1, kinds) / rows
    # The last kind is "missing": it has no place in an order.
    present = shares[:, :-1].cumsum(axis=1) if ordered else shares[:, :-1]
    curves = np.concatenate([present, shares[:, -1:]], axis=1)
    weeks = np.lib.stride_tricks.sliding_window_view(curves[:-1], WINDOW, axis=0)
    # The median, not the mean: one odd day must not make the week after it look odd.
    from_week = _gap(curves[WINDOW:], np.median(weeks, axis=-1), ordered=ordered)
    alike = _same_weekday(days)
    from_day = _gap(curves[WINDOW:], curves[alike], ordered=ordered)
    return np.where(alike < 0, from_week, np.minimum(from_week, from_day))


def _gap(one: Array, other: Array, *, ordered: bool) -> Array:
    """Distance of curves (days, kinds): mean difference in rank, or share that moved."""
    gaps = np.abs(one - other)
    between = gaps[:, :-1].mean(axis=1) if ordered else gaps[:, :-1].sum(axis=1) / 2
    return np.asarray(between + gaps[:, -1])


def _same_weekday(days: Sequence[date]) -> Array:
    """Place of the day of the same weekday among the `WINDOW` days before each day; -1: none."""
    weekdays = np.array([day.weekday() for day in days])
    weeks = np.lib.stride_tricks.sliding_window_view(weekdays[:-1], WINDOW)
    same = weeks == weekdays[WINDOW:, None]
    last = WINDOW - 1 - same[:, ::-1].argmax(axis=1)
    return np.where(same.any(axis=1), last + np.arange(len(weeks)), -1)


def _codes(values: pl.Series) -> tuple[Array, int, bool]:
    """Bin or category of each value, how many there are with "missing", and if they are ordered."""
    if values.dtype in {pl.String, pl.Categorical, pl.Enum, pl.Boolean}:
        text = values.cast(pl.String)
        kept = text.drop_nulls().value_counts(sort=True, name="n").head(CATEGORIES)[text.name]
        known = {value: code for code, value in enumerate(sorted(kept))}
        # Rare categories are one; missing is the last.
        named = text.replace_strict(known, default=len(known), return_dtype=pl.Int64)
        return named.set(text.is_null(), len(known) + 1).to_numpy(), len(known) + 2, False
    numbers = values.cast(pl.Float64).fill_null(math.nan).to_numpy()
    missing = np.isnan(numbers)
    # Edges from all days alike: no day is the measure of the others.
    known = numbers[~missing]
    known = known[:: 1 + len(known) // EDGE_VALUES]
    edges = np.unique(np.quantile(known, STEPS)) if len(known) else known
    codes = np.where(missing, len(edges) + 1, np.searchsorted(edges, numbers, side="left"))
    return codes, len(edges) + 2, True


def _excess(distances: Array, rows: int) -> Array:
    """Distances (days, columns) in units of each column's own variation over all days alike."""
    # Logarithms: distances are positive and skewed, and a column that is skewer than the others
    # would decide alone. What sampling alone leaves keeps a constant column from infinity.
    floor = 0.1 / math.sqrt(rows)
    logs = np.log(distances + floor)
    middle = np.median(logs, axis=0)
    spread = 1.4826 * np.median(np.abs(logs - middle), axis=0)
    return np.asarray((logs - middle) / np.maximum(spread, 0.1))


def _ranked(excess: Array, columns: Sequence[str], alpha: float, fewest: int, rows: int) -> Drift:
    """Rank the last day's largest excess among the other days'."""
    largest = excess.max(axis=1)
    reference = _usual(largest[:-1], fewest)
    p_value = (1 + int((reference >= largest[-1]).sum())) / (len(reference) + 1)
    allowed = math.floor(alpha * (len(reference) + 1))
    critical = float(np.sort(reference)[-allowed])
    found = dict(zip(columns, excess[-1].tolist(), strict=True))
    worst = sorted(found, key=lambda name: -found[name])
    return Drift(
        p_value=p_value,
        alarmed=p_value <= alpha,
        features=tuple(name for name in worst if found[name] > critical),
        alpha=alpha,
        reference_days=len(reference),
        rows=rows,
        excess=found,
        critical=critical,
    )


def _usual(largest: Array, fewest: int) -> Array:
    """The reference days without those that were events, as long as enough are left."""
    before = np.maximum.accumulate(largest)
    event = np.zeros(len(largest), bool)
    event[FEWEST_BEFORE_EVENT:] = (
        largest[FEWEST_BEFORE_EVENT:] > EVENT * before[FEWEST_BEFORE_EVENT - 1 : -1]
    )
    return largest[~event] if len(largest) - event.sum() >= fewest else largest
