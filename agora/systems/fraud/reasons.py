"""Reasons for a review or a decline: the rules that hold, then what raised the score most.

Only flagged payments are explained: TreeSHAP takes some ten times as long as the score itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agora.systems.fraud.features import INPUTS, TEXTS
from agora.systems.fraud.rules import RULES, hits

if TYPE_CHECKING:
    from agora.boosting import Boosters

MOST_RULES, MOST_INPUTS = 3, 3
# From weakest to strongest, and each rule's odds against the odds of one fraud in 200.
_STRENGTH = np.array([np.log(r.weight / (1 - r.weight)) - np.log(0.005 / 0.995) for r in RULES])


def explain(matrix: np.ndarray[Any, Any], boosters: Boosters) -> list[list[dict[str, Any]]]:
    """Reasons of each decoded row, rules first, each group strongest first."""
    contributions = boosters.contributions(matrix)
    strongest = np.argsort(-contributions, axis=1, kind="stable")[:, :MOST_INPUTS]
    ruled = np.where(hits(matrix), _STRENGTH, -np.inf)
    ranked = np.argsort(-ruled, axis=1, kind="stable")[:, :MOST_RULES]
    return [
        [_rule(int(r), ruled[row, r]) for r in ranked[row] if ruled[row, r] > -np.inf]
        + [
            _input(int(i), contributions[row, i])
            for i in strongest[row]
            if contributions[row, i] > 0
        ]
        for row in range(len(matrix))
    ]


def _rule(number: int, strength: float) -> dict[str, Any]:
    rule = RULES[number]
    return {"code": rule.code, "text": rule.text, "contribution": float(strength)}


def _input(number: int, contribution: float) -> dict[str, Any]:
    name = INPUTS[number]
    return {"code": name, "text": TEXTS[name], "contribution": float(contribution)}
