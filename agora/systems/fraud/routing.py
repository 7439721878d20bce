"""Who decides a payment, and how: which rules may act, who sees the deep model, which decision.

A payment is decided by the cheapest tier that is sure of it. Rules say what they may decide; here
is measured whether they should: on the training and calibration spans, neither of which set their
levels. A rule that cannot show it stays in shadow mode until the next training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.systems.fraud.rules import SHADOW

if TYPE_CHECKING:
    from agora.systems.fraud.costs import Thresholds
    from agora.systems.fraud.rules import Rule, Rulebook

Array = np.ndarray[Any, Any]

CONFIDENCE = 0.95
# Payments of the light model's opinion that a rule's observed rate is mixed with.
PRIOR_ROWS = 20.0
RULES, LIGHT, DEEP = "rules", "light", "deep"
ENSEMBLE = "ensemble"


@dataclass(frozen=True, slots=True)
class Acting:
    """Which rules decide, and why the others do not.

    Attributes:
        scores: Probability of fraud of the payments that each decides, by code.
        notes: What was measured of each rule that would decide, in words, by code.
    """

    scores: dict[str, float]
    notes: dict[str, str]

    def without(self, code: str, why: str) -> Acting:
        """The same with one rule in shadow mode."""
        kept = {name: score for name, score in self.scores.items() if name != code}
        return Acting(kept, {**self.notes, code: f"{SHADOW}: {why}"})


class Deciding:
    """Finds the rule that decides a payment.

    The first rule that holds decides; but none approves what any active rule accuses.

    Attributes:
        places: Of the rules that act, in the book.
        scores: Of what each of them decides.
    """

    def __init__(self, book: Rulebook, acting: Acting) -> None:
        rules = [rule for rule in book.rules if rule.code in acting.scores]
        self.places = np.array([book.rules.index(rule) for rule in rules], dtype=np.int64)
        self.scores = np.array([acting.scores[rule.code] for rule in rules])
        self._accuses = book.accuses
        self._approves = np.array([rule.action == "approve" for rule in rules], dtype=bool)

    def __call__(self, hits: Array) -> Array:
        """Position in `places` of the rule that decides each row, -1 where none does."""
        if not len(self.places):
            return np.full(len(hits), -1)
        held = hits.take(self.places, axis=1)
        held &= ~(self._approves & accused(hits, self._accuses)[:, None])
        by = held.argmax(axis=1)
        by[~held.any(axis=1)] = -1
        return np.asarray(by)


def accused(hits: Array, accuses: Array) -> Array:
    """Rows in which an active rule speaks against the payment, (n,) bool."""
    return np.asarray((hits & accuses).any(axis=1))


def measure(
    book: Rulebook,
    hits: Array,
    labels: Array,
    prior: Array,
    *,
    most_missed: float,
    least_precision: float,
) -> Acting:
    """Which rules may act.

    Args:
        book: The rules.
        hits: Where they hold, (n, rules).
        labels: Whether each payment is a fraud.
        prior: The light model's score of each payment; NaN where it would judge what it learned.
        most_missed: Share of all frauds that the approving rules together may let through, at the
            upper end of a 95 % interval.
        least_precision: Share of frauds in what a rule declines, at the lower end of one.
    """
    frauds, missed = labels.sum(), 0.0
    acting = Acting({}, {})
    free = np.ones(len(labels), bool)
    clear = ~accused(hits, book.accuses)
    for place, rule in enumerate(book.rules):
        if not rule.acts:
            continue
        held = hits[:, place]
        if rule.action == "approve":
            # The safe list is judged as a whole: no payment of an earlier rule counts again.
            held = held & free & clear
        rows, found = int(held.sum()), float(labels[held].sum())
        if rule.action == "approve":
            bound = _upper(missed + found, frauds)
            may = bound <= most_missed
            words = (
                f"approves {rows:,} payments, {found:.0f} of {frauds:.0f} frauds among them; the "
                f"safe list lets at most {bound:.1%} of the frauds through"
            )
        else:
            bound = _lower(found, rows)
            may = bound >= least_precision
            words = f"declines {rows:,} payments, {found:.0f} frauds; at least {bound:.1%} are"
        if not may:
            acting = acting.without(rule.code, words)
            continue
        if rule.action == "approve":
            missed += found
            free &= ~held
        acting.scores[rule.code] = _shrunk(found, rows, prior[held], prior)
        acting.notes[rule.code] = words
    return acting


def band(light: Array, is_open: Array, share: float) -> float:
    """The light score from which a payment goes to the deep model: `share` of all payments do."""
    left = np.sort(light[is_open])[::-1]
    wanted = int(share * len(light))
    if not wanted or not len(left):
        return float("inf")
    return float(left[min(wanted, len(left)) - 1])


def contradicted(book: Rulebook, acting: Acting, thresholds: Thresholds) -> Rule | None:
    """The first rule whose payments' score leads to another decision than the rule's own."""
    levels = {"approve": 0, "decline": 2}
    for rule in book.rules:
        score = acting.scores.get(rule.code)
        if score is not None and thresholds.levels(np.array([score]))[0] != levels[rule.action]:
            return rule
    return None


def _shrunk(found: float, rows: int, light: Array, everywhere: Array) -> float:
    seen = light[~np.isnan(light)]
    expected = float(seen.mean()) if len(seen) else float(np.nanmean(everywhere))
    return (found + PRIOR_ROWS * expected) / (rows + PRIOR_ROWS)


def _upper(found: float, of: float) -> float:
    """Upper end of a one-sided 95 % interval of a share (Clopper and Pearson)."""
    from scipy.special import betaincinv

    return float(betaincinv(found + 1, of - found, CONFIDENCE)) if found < of else 1.0


def _lower(found: float, of: float) -> float:
    """Lower end of the same."""
    from scipy.special import betaincinv

    return float(betaincinv(found, of - found + 1, 1 - CONFIDENCE)) if found else 0.0
