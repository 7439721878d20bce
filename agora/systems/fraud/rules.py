"""Rules: what an analyst would look for, as typed and versioned data. `rulebook` holds fraud's own.

A rule holds where all its conditions hold. An active rule may approve or decline by itself or only
speak (it is a reason, and evidence for the baseline without learning); a rule in shadow mode is
evaluated and logged, and does nothing. All rules are evaluated at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isnan
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from agora.systems.fraud.features import CODED, INPUTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

Array = np.ndarray[Any, Any]
Comparison: TypeAlias = Literal["at_least", "at_most", "equals"]
Action: TypeAlias = Literal["approve", "decline", "none"]
Mode: TypeAlias = Literal["active", "shadow"]

SHADOW = "shadow"
PLACE = {name: at for at, name in enumerate(INPUTS)}


class RuleError(ValueError):
    """A rule that cannot be; the message names the rule and the field."""


@dataclass(frozen=True, slots=True)
class Condition:
    """An input compared with a level; an unknown input fulfils nothing."""

    name: str
    comparison: Comparison
    level: float

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and largest value that fulfils it."""
        least = -inf if self.comparison == "at_most" else self.level
        return least, inf if self.comparison == "at_least" else self.level


def at_least(name: str, level: float) -> Condition:
    """The input is at or above the level."""
    return Condition(name, "at_least", level)


def at_most(name: str, level: float) -> Condition:
    """The input is at or below the level."""
    return Condition(name, "at_most", level)


def equals(name: str, level: float) -> Condition:
    """The input is the level."""
    return Condition(name, "equals", level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A pattern of payments, checked when it is made.

    Attributes:
        code: Stable name.
        version: Raised by every change of its conditions: the log tells the versions apart.
        text: What it means, for an analyst and for the customer's file.
        conditions: What must hold, all of it.
        weight: Chance of fraud that it stands for, by itself; set by judgement, not fitted. 0
            accuses no one, as of a rule that approves.
        action: What it does when it holds, if it is active.
        mode: `shadow` until its back-test has convinced someone.
        since: Day from which this version stands in the rule book.
    """

    code: str
    text: str
    conditions: tuple[Condition, ...]
    since: date
    version: int = 1
    weight: float = 0.0
    action: Action = "none"
    mode: Mode = "active"

    def __post_init__(self) -> None:
        self._must(self.code.isidentifier(), "code", "one word of letters, digits and _")
        self._must(self.version >= 1, "version", "1 or more")
        self._must(self.text.endswith("."), "text", "a sentence")
        self._must(0 <= self.weight < 1, "weight", "a chance below 1")
        self._must(self.action in get_args(Action), "action", f"one of {get_args(Action)}")
        self._must(self.mode in get_args(Mode), "mode", f"one of {get_args(Mode)}")
        self._must(len(self.conditions) > 0, "conditions", "at least one")
        self._must(
            self.action != "approve" or not self.weight, "weight", "0 for a rule that approves"
        )
        for number, condition in enumerate(self.conditions):
            self._check(f"conditions[{number}]", condition)

    @property
    def name(self) -> str:
        """Code and version, as the prediction log writes them."""
        return f"{self.code}@{self.version}"

    @property
    def acts(self) -> bool:
        """Whether it decides."""
        return self.mode == "active" and self.action != "none"

    def _check(self, field: str, condition: Condition) -> None:
        name, level = condition.name, condition.level
        self._must(name in PLACE, f"{field}.name", f"an input of the model; {name!r} is none")
        self._must(
            name not in CODED, f"{field}.name", f"a number; each training numbers {name!r} anew"
        )
        self._must(
            condition.comparison in get_args(Comparison),
            f"{field}.comparison",
            f"one of {get_args(Comparison)}",
        )
        is_number = isinstance(level, int | float) and not isinstance(level, bool)
        self._must(is_number and not isnan(level), f"{field}.level", "a number")

    def _must(self, holds: bool, field: str, what: str) -> None:
        if not holds:
            raise RuleError(f"rule {self.code!r}: {field} must be {what}")


class Rulebook:
    """Rules that are evaluated together.

    Attributes:
        rules: In the order of the columns of `hits`.
        accuses: Which of them speak against a payment, (rules,) bool.
        inputs: Places of the inputs that each looks at.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        codes = [rule.code for rule in rules]
        if twice := sorted({code for code in codes if codes.count(code) > 1}):
            raise RuleError(f"rule {twice[0]!r}: code must be that of one rule only")
        self.rules = tuple(rules)
        self.accuses = np.array([rule.mode == "active" and rule.weight > 0 for rule in rules])
        self.inputs = [
            np.unique([PLACE[condition.name] for condition in rule.conditions]) for rule in rules
        ]
        flat = [condition for rule in rules for condition in rule.conditions]
        self._input = np.array([PLACE[condition.name] for condition in flat])
        self._least, self._most = np.array([condition.bounds for condition in flat]).T[:, :, None]
        self._starts = np.cumsum([0, *(len(rule.conditions) for rule in rules[:-1])])
        self._log_honest = np.where(self.accuses, np.log1p([-rule.weight for rule in rules]), 0.0)
        self._marks = [
            f"{rule.name} {SHADOW}" if rule.mode == SHADOW else rule.name for rule in rules
        ]

    def hits(self, matrix: Array) -> Array:
        """Which rules hold, (n, rules) bool, for decoded rows."""
        values = matrix.T[self._input]
        # Not a number compares false: what is unknown fulfils nothing.
        held = values >= self._least
        held &= values <= self._most
        return np.asarray(np.logical_and.reduceat(held, self._starts, axis=0).T)

    def scores(self, hits: Array) -> Array:
        """Chance of fraud by the accusing rules alone, as independent witnesses, (n,).

        1 - product of (1 - weight).
        """
        # Row by row: a matrix product differs in its last bits with the number of rows.
        honest = np.where(np.ascontiguousarray(hits), self._log_honest, 0.0)
        return np.asarray(-np.expm1(honest.sum(axis=1)))

    def strengths(self) -> Array:
        """What each rule adds to -ln(1 - score), (rules,)."""
        return -self._log_honest

    def marks(self, hits: Array) -> list[list[str]]:
        """Names of the rules that hold in each row; those in shadow mode say so."""
        found: list[list[str]] = [[] for _ in range(len(hits))]
        for row, rule in zip(*(places.tolist() for places in hits.nonzero()), strict=True):
            found[row].append(self._marks[rule])
        return found
