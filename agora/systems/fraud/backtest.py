"""What each rule was worth on payments whose outcome is known, and what it would have been.

Rules are judged on what the model saw: the features in the prediction log, or, where nothing has
been logged yet, the rows of the training set. What would change if a rule acted is counted against
the decisions in the log; rows of the training set count as approved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.dataset import table_of
from agora.evaluation import bootstrap
from agora.pipeline import columns_of
from agora.systems.fraud.costs import DECISIONS, Costs
from agora.systems.fraud.decoding import READ, decode
from agora.systems.fraud.features import CODED, FEATURE_SETS, LIGHT_SETS
from agora.systems.fraud.rulebook import BOOK
from agora.systems.fraud.rules import RuleError
from agora.systems.fraud.schema import Payment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from agora.stores.lake import Lake
    from agora.systems.fraud.rules import Rulebook

Array = np.ndarray[Any, Any]

SYSTEM = "fraud"
LOG, LABELS = "predictions/fraud", "marts.payment_labels"
# With fewer no rule can be told from chance.
FEWEST_FRAUDS = 20
INTERVALS = ("precision", "recall")
KINDS = {"amount": pl.Float64, "latitude": pl.Float64, "longitude": pl.Float64}


@dataclass(frozen=True, slots=True)
class Backtest:
    """Rules against known outcomes.

    Attributes:
        source: Table of the payments.
        payments: How many there are.
        frauds: How many of them are frauds.
        rules: One row per rule: how often it holds, what it catches and costs, what it shares with
            others, and what would change if it acted.
        overlap: One row per pair of rules that hold together.
    """

    source: str
    payments: int
    frauds: int
    rules: pl.DataFrame
    overlap: pl.DataFrame

    def markdown(self) -> str:
        """The rules as a table."""
        names = list(_COLUMNS)
        lines = [
            f"{self.payments:,} payments of {self.source}, {self.frauds:,} frauds. "
            "95 % intervals in brackets.",
            "",
            "| " + " | ".join(_COLUMNS.values()) + " |",
            "|---" * len(names) + "|",
        ]
        for row in self.rules.to_dicts():
            lines.append("| " + " | ".join(_cell(name, row) for name in names) + " |")
        return "\n".join(lines)


_COLUMNS = {
    "rule": "rule",
    "mode": "mode",
    "action": "action",
    "hits": "hits",
    "frauds": "frauds",
    "precision": "precision",
    "recall": "recall",
    "fraud_amount": "fraud amount",
    "honest_amount": "honest amount",
    "only_this": "only this rule",
    "changed": "decisions changed",
    "saved": "saved",
}


def backtest(
    lake: Lake,
    *,
    rule: str | None = None,
    start: date | None = None,
    end: date | None = None,
    book: Rulebook = BOOK,
    costs: Costs | None = None,
) -> Backtest:
    """Judge rules on the labelled log, or on the training set while the log holds few frauds.

    Args:
        lake: Where both are.
        rule: Code of the only rule to report on; overlaps are those with all others.
        start: First day of the payments; all earlier ones when None.
        end: Day after the last; all later ones when None.
        book: The rules.
        costs: What decisions cost.

    Raises:
        RuleError: There is no rule of that code.
        LookupError: There are no labelled payments.
    """
    if rule is not None and rule not in {each.code for each in book.rules}:
        known = ", ".join(each.code for each in book.rules)
        raise RuleError(f"rule {rule!r}: code must be one of {known}")
    source, frame = _labelled(lake)
    day = pl.col("event_at").dt.date()
    if start is not None:
        frame = frame.filter(day >= start)
    if end is not None:
        frame = frame.filter(day < end)
    if not frame.height:
        raise LookupError(f"{source} holds no labelled payments of these days")
    return judge(frame, source, book, costs or Costs(), rule)


def judge(
    frame: pl.DataFrame, source: str, book: Rulebook, costs: Costs, rule: str | None = None
) -> Backtest:
    """Judge rules on payments with their features, `is_fraud` and the `decision` then taken."""
    unknown: dict[str, dict[str, float]] = {name: {} for name in CODED}
    hits = book.hits(decode(columns_of(frame.select(READ)), unknown))
    labels = frame["is_fraud"].cast(pl.Float64).to_numpy()
    amount = frame["amount"].to_numpy()
    by_decision = costs.of(labels, amount)
    taken = frame["decision"].replace_strict(
        {name: level for level, name in enumerate(DECISIONS)}, default=0, return_dtype=pl.Int64
    ).to_numpy()  # fmt: skip
    customers = frame["customer_id"].rank("dense").to_numpy().astype(np.int64) - 1
    intervals = _intervals(hits, labels, customers)
    alone = hits & (hits.sum(axis=1, keepdims=True) == 1)
    rows = []
    for place, each in enumerate(book.rules):
        held = hits[:, place]
        level = DECISIONS.index(each.action) if each.action in DECISIONS else None
        acted = np.flatnonzero(held if level is not None else held & False)
        before = by_decision[taken[acted], acted].sum()
        rows.append(
            {
                "rule": each.name,
                "mode": each.mode,
                "action": each.action,
                "hits": int(held.sum()),
                "frauds": int(labels[held].sum()),
                **{name: found[place] for name, found in intervals.items()},
                "fraud_amount": float((labels * amount)[held].sum()),
                "honest_amount": float(((1 - labels) * amount)[held].sum()),
                "only_this": int(alone[:, place].sum()),
                "changed": int((taken[acted] != level).sum()),
                "saved": float(before - by_decision[level or 0, acted].sum()),
            }
        )
    chosen = [place for place, each in enumerate(book.rules) if rule in (None, each.code)]
    return Backtest(
        source,
        frame.height,
        int(labels.sum()),
        pl.DataFrame([rows[place] for place in chosen]),
        _overlap(book, hits, labels, chosen),
    )


def _labelled(lake: Lake) -> tuple[str, pl.DataFrame]:
    """Name of the table and its payments, with features, label and decision."""
    table = table_of(SYSTEM)
    learned = lake.exists(table)
    if lake.exists(LOG):
        frame = _logged(lake)
        if frame["is_fraud"].sum() >= FEWEST_FRAUDS or (frame.height and not learned):
            return LOG, frame
    if not learned:
        raise LookupError(f"neither {LOG} nor {table} exists: there is nothing to judge rules on")
    return table, lake.read(table).with_columns(decision=pl.lit(None, pl.String))


def _logged(lake: Lake) -> pl.DataFrame:
    """Logged payments that have a label, or are old enough to be honest, as the model saw them."""
    from agora.systems.fraud.dataset import SPLIT

    days = SPLIT.label_delay.days
    found = lake.query(f"""
        with log as (
            select request, features, decision, event_at, request_id,
                max(predicted_at) over () as newest
            from predictions.fraud
            qualify row_number() over (partition by request_id order by predicted_at desc) = 1
        ),
        labels as (
            select payment_id, is_fraud from {LABELS}
            qualify row_number() over (
                partition by payment_id order by source = 'chargeback' desc, arrived_at desc
            ) = 1
        )
        select log.* exclude (newest), coalesce(is_fraud, false) as is_fraud
        from log left join labels on labels.payment_id = log.request_id
        where is_fraud is not null or event_at < newest - interval {days} day
        order by event_at, request_id
    """)
    fields = [name for name in Payment.model_fields if name != "event_at"]
    request = pl.Struct({name: KINDS.get(name, pl.String) for name in fields})
    # A model of other features logged other columns: what rules look at must be there.
    same = (_used(at).struct.field("feature_set") == each.id for at, each in enumerate(LIGHT_SETS))
    return found.filter(*same).select(
        pl.col("request").str.json_decode(request).struct.unnest(),
        *(
            column
            for at, feature_set in enumerate(FEATURE_SETS)
            for column in _features(at, feature_set.columns, feature_set.time_column)
        ),
        "event_at",
        "decision",
        "is_fraud",
    )


def _used(at: int) -> pl.Expr:
    return pl.col("features").list.get(at, null_on_oob=True)


def _features(at: int, columns: Sequence[str], time_column: str) -> list[pl.Expr]:
    logged = _used(at).struct
    return [
        *(
            logged.field("values").list.get(place, null_on_oob=True).alias(column)
            for place, column in enumerate(columns)
        ),
        logged.field("feature_at").alias(time_column),
    ]


def _intervals(hits: Array, labels: Array, groups: Array) -> dict[str, list[list[float]]]:
    """Precision and recall of each rule with their 95 % intervals over customers."""
    caught = hits * labels[:, None]
    drawn: dict[str, list[Array]] = {name: [] for name in INTERVALS}
    for weights in bootstrap(groups):
        found = weights @ caught
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn["precision"].append(found / (weights @ hits))
            drawn["recall"].append(found / (weights @ labels)[:, None])
    return {name: _ends(np.concatenate(parts)) for name, parts in drawn.items()}


def _ends(draws: Array) -> list[list[float]]:
    """Value, low and high by column; the first draw is the value."""
    found = []
    for column in draws.T:
        seen = column[1:][np.isfinite(column[1:])]
        low, high = np.quantile(seen, [0.025, 0.975]) if len(seen) else (np.nan, np.nan)
        found.append([float(column[0]), float(low), float(high)])
    return found


def _overlap(book: Rulebook, hits: Array, labels: Array, chosen: list[int]) -> pl.DataFrame:
    counts = hits.astype(float)
    both, frauds = counts.T @ counts, (counts * labels[:, None]).T @ counts
    names = [rule.name for rule in book.rules]
    rows = [
        {
            "rule": names[place],
            "other": names[other],
            "both": int(both[place, other]),
            "frauds": int(frauds[place, other]),
            "share": both[place, other] / both[place, place],
        }
        for place in chosen
        for other in np.argsort(-both[place], kind="stable").tolist()
        if other != place and both[place, other]
    ]
    schema = {
        "rule": pl.String, "other": pl.String, "both": pl.Int64, "frauds": pl.Int64,
        "share": pl.Float64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def _cell(name: str, row: dict[str, Any]) -> str:
    value = row[name]
    if name in INTERVALS:
        return "{:.3f} ({:.3f} to {:.3f})".format(*value)
    if isinstance(value, float):
        return f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
