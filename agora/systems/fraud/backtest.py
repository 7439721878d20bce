"""What each rule was worth on payments whose outcome is known, and what it would have been.

Rules are judged on what the model saw: the features in the prediction log, or, where nothing has
been logged yet, the rows of the training set. What would change if a rule acted is counted against
the decisions in the log; rows of the training set count as approved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl

from agora.evaluation import bootstrap
from agora.pipeline import columns_of
from agora.systems.fraud.costs import DECISIONS, Costs
from agora.systems.fraud.decoding import READ, decode
from agora.systems.fraud.features import CODED
from agora.systems.fraud.labelled_log import labelled_payments
from agora.systems.fraud.rulebook import BOOK
from agora.systems.fraud.rules import SHADOW, RuleError

if TYPE_CHECKING:
    from datetime import date

    from agora.pipeline import Pipeline
    from agora.stores.lake import Lake
    from agora.systems.fraud.pipeline import FraudPipeline
    from agora.systems.fraud.rules import Rule, Rulebook

Array = np.ndarray[Any, Any]

INTERVALS = ("precision", "recall")


@dataclass(frozen=True, slots=True)
class Backtest:
    """Rules against known outcomes.

    Attributes:
        source: Table of the payments.
        payments: How many there are.
        frauds: How many of them are frauds.
        rules: One row per rule: the mode it is written with and what the champion's training made
            of it, how often it holds, what it catches and costs, what it shares with others, and
            what would change if it acted.
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
    "mode": "written mode",
    "champion": "in the champion",
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


def report(lake: Lake, rule: str | None, champion: Pipeline | None) -> str:
    """`backtest` as text, for the record of the system."""
    return backtest(lake, rule=rule, champion=cast("FraudPipeline | None", champion)).markdown()


def backtest(
    lake: Lake,
    *,
    rule: str | None = None,
    start: date | None = None,
    end: date | None = None,
    book: Rulebook = BOOK,
    costs: Costs | None = None,
    champion: FraudPipeline | None = None,
) -> Backtest:
    """Judge rules on the labelled log, or on the training set while the log holds few frauds.

    Args:
        lake: Where both are.
        rule: Code of the only rule to report on; overlaps are those with all others.
        start: First day of the payments; all earlier ones when None.
        end: Day after the last; all later ones when None.
        book: The rules.
        costs: What decisions cost.
        champion: Model of which it is said what its training made of each rule.

    Raises:
        RuleError: There is no rule of that code.
        LookupError: There are no labelled payments.
    """
    if rule is not None and rule not in {each.code for each in book.rules}:
        known = ", ".join(each.code for each in book.rules)
        raise RuleError(f"rule {rule!r}: code must be one of {known}")
    source, frame = labelled_payments(lake)
    day = pl.col("event_at").dt.date()
    if start is not None:
        frame = frame.filter(day >= start)
    if end is not None:
        frame = frame.filter(day < end)
    if not frame.height:
        raise LookupError(f"{source} holds no labelled payments of these days")
    return judge(frame, source, book, costs or Costs(), rule, champion)


def judge(
    frame: pl.DataFrame,
    source: str,
    book: Rulebook,
    costs: Costs,
    rule: str | None = None,
    champion: FraudPipeline | None = None,
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
                "champion": made_of(each, champion),
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


def made_of(rule: Rule, champion: FraudPipeline | None) -> str:
    """What a model's training made of a rule: only those that prove themselves decide."""
    if champion is None:
        return "no champion"
    if not rule.acts:
        return "shadow" if rule.mode == SHADOW else "speaks"
    if rule.code in champion.acting_.scores:
        return f"{rule.action}s at a score of {champion.acting_.scores[rule.code]:.3f}"
    return champion.acting_.notes.get(rule.code, "not known to it")


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
