"""Reasons for a review or a decline, in log-odds; they add up to the score.

`base_rate` is where an average payment stands, `other` the sum of what is not listed. Evidence that
the trees took from the inputs of a rule that holds is told as that rule. What calibration and
stacking do to a model's log-odds is shared out in proportion. Only flagged payments are explained:
TreeSHAP takes some ten times as long as the score itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.systems.fraud.features import INPUTS, TEXTS
from agora.systems.fraud.tiers import WIDTH, DeepTier, LightTier, RulesTier, evidence, logit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.systems.fraud.rules import Rulebook

Array = np.ndarray[Any, Any]

MOST = 6
BASE_RATE, OTHER = "base_rate", "other"
BASE_RATE_TEXT = "Where an average payment stands."
OTHER_TEXT = "Everything else, for and against."
LABELS = "recent_labels"
LABELS_TEXT = "What analysts have said of the merchant or the device since the training."
SEQUENCE = "card_sequence"
SEQUENCE_TEXT = "The order of the card's latest payments, against the present one."
# Below this the log-odds did not move, and there is nothing to share out.
STILL = 1e-9


@dataclass(frozen=True, slots=True)
class Parts:
    """What made the log-odds of n payments: sums of named contributions.

    Attributes:
        base: Log-odds of an average payment.
        codes: Names, (k,).
        texts: The same in words, (k,).
        contributions: (n, k); what they leave of the score is `other`.
    """

    base: float
    codes: tuple[str, ...]
    texts: tuple[str, ...]
    contributions: Array

    def with_one(self, code: str, text: str, contribution: Array) -> Parts:
        """The same with one part more."""
        return Parts(
            self.base,
            (*self.codes, code),
            (*self.texts, text),
            np.column_stack([self.contributions, contribution]),
        )


def explain(
    tiers: Sequence[RulesTier | LightTier | DeepTier],
    number: int,
    matrix: Array,
    scores: Array,
    shift: Array | None = None,
) -> list[list[dict[str, Any]]]:
    """The reasons of payments: the strongest, the base rate, and the rest.

    Args:
        tiers: The cascade.
        number: Of the tier that scored the payments.
        matrix: Them, decoded.
        scores: What it gave them, shifted.
        shift: By how much analysts' labels have moved the log-odds since the training.
    """
    tier = tiers[number]
    log_odds = logit(scores)
    own = log_odds if shift is None else log_odds - shift
    rules, light = tiers[0], tiers[1]
    if not isinstance(rules, RulesTier) or not isinstance(light, LightTier):
        raise TypeError("a cascade begins with rules and the light model")
    if tier is rules:
        parts = _rule_parts(rules, matrix, own)
    else:
        parts = _light_parts(light, rules.book, matrix)
        if isinstance(tier, DeepTier):
            parts = _deep_parts(tier, parts, matrix, own)
    if shift is not None:
        parts = parts.with_one(LABELS, LABELS_TEXT, shift)
    return _told(parts, log_odds)


def _rule_parts(tier: RulesTier, matrix: Array, log_odds: Array) -> Parts:
    """Parts of scores that the rules gave: the rule that decided, or all that accuse."""
    hits = tier.book.hits(matrix)
    base = float(tier.log_odds(evidence(tier.book, np.zeros_like(hits[:1])))[0])
    strengths = hits * tier.book.strengths()
    by = tier.deciding(hits)
    decided = by >= 0
    strengths[decided] = 0.0
    strengths[decided, tier.deciding.places[by[decided]]] = 1.0
    rules = tier.book.rules
    return Parts(
        base,
        tuple(rule.code for rule in rules),
        tuple(rule.text for rule in rules),
        _shared(strengths, log_odds - base),
    )


def _shared(strengths: Array, moved: Array) -> Array:
    """What moved each row's log-odds, shared among its rules by their strengths."""
    total = strengths.sum(axis=1, keepdims=True)
    shares = np.divide(strengths, total, out=np.zeros_like(strengths), where=total > 0)
    return np.asarray(shares * moved[:, None])


def _light_parts(tier: LightTier, book: Rulebook, matrix: Array) -> Parts:
    """Parts of the light model's calibrated log-odds: rules that hold, then single inputs."""
    found = tier.boosters.contributions(matrix[:, :WIDTH])
    contributions, expected = found[:, :-1], float(found[0, -1])
    raw = found.sum(axis=1)
    base = float(tier.log_odds(np.array([expected]))[0])
    moved = raw - expected
    scale = np.divide(
        tier.log_odds(raw) - base, moved, out=np.zeros(len(raw)), where=np.abs(moved) > STILL
    )
    by_rule, by_input = _told_by_rules(book, book.hits(matrix), contributions)
    return Parts(
        base,
        (*(rule.code for rule in book.rules), *INPUTS),
        (*(rule.text for rule in book.rules), *(TEXTS[name] for name in INPUTS)),
        np.concatenate([by_rule, by_input], axis=1) * scale[:, None],
    )


def _deep_parts(tier: DeepTier, light: Parts, matrix: Array, log_odds: Array) -> Parts:
    """The light model's parts, each times its weight in the stack, rules, the network as one."""
    hits = tier.book.hits(matrix)
    silent = float(tier.said(np.zeros_like(hits[:1]))[0])
    # An average payment: no rule accuses, and the network agrees with the light model.
    base = float(tier.stack(np.array([[light.base, light.base, silent]]))[0])
    contributions = light.contributions * tier.stack.weights[0]
    by_rule = _shared(hits * tier.book.strengths(), tier.said(hits) - silent)
    contributions[:, : by_rule.shape[1]] += by_rule * tier.stack.weights[2]
    sequence = log_odds - base - contributions.sum(axis=1)
    parts = Parts(base, light.codes, light.texts, contributions)
    return parts.with_one(SEQUENCE, SEQUENCE_TEXT, sequence)


def _told(parts: Parts, log_odds: Array) -> list[list[dict[str, Any]]]:
    found = parts.contributions
    strongest = np.argsort(-found, axis=1, kind="stable")[:, :MOST]
    values = np.take_along_axis(found, strongest, axis=1)
    values[values <= STILL] = 0.0
    rest = log_odds - parts.base - values.sum(axis=1)
    return [
        [
            *(
                _reason(parts.codes[place], parts.texts[place], value)
                for place, value in zip(places, row, strict=True)
                if value
            ),
            _reason(BASE_RATE, BASE_RATE_TEXT, parts.base),
            _reason(OTHER, OTHER_TEXT, left),
        ]
        for places, row, left in zip(
            strongest.tolist(), values.tolist(), rest.tolist(), strict=True
        )
    ]


def _told_by_rules(book: Rulebook, hits: Array, contributions: Array) -> tuple[Array, Array]:
    """Contributions moved from the inputs of an accusing rule that holds to the rule."""
    by_input = contributions.copy()
    by_rule = np.zeros(hits.shape)
    for place in np.flatnonzero(book.accuses & hits.any(axis=0)):
        rows = np.flatnonzero(hits[:, place])
        cells = np.ix_(rows, book.inputs[place])
        taken = by_input[cells].sum(axis=1)
        # A rule whose inputs spoke for the payment is no reason.
        rows, taken = rows[taken > 0], taken[taken > 0]
        by_rule[rows, place] = taken
        by_input[np.ix_(rows, book.inputs[place])] = 0.0
    return by_rule, by_input


def _reason(code: str, text: str, contribution: float) -> dict[str, Any]:
    return {"code": code, "text": text, "contribution": contribution}
