from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest

from agora.systems.fraud.features import INPUTS
from agora.systems.fraud.rulebook import BOOK, RULES
from agora.systems.fraud.rules import (
    Condition,
    Rule,
    Rulebook,
    RuleError,
    at_least,
    at_most,
    equals,
)

DAY = date(2026, 11, 21)
BEYOND = {"at_least": -np.inf, "at_most": np.inf}


def row(**values: float) -> np.ndarray:
    """A decoded row of which only these inputs are known."""
    matrix = np.full((1, len(INPUTS)), np.nan)
    for name, value in values.items():
        matrix[0, INPUTS.index(name)] = value
    return matrix


def made(**changes: Any) -> Rule:
    fields: dict[str, Any] = {
        "code": "odd", "text": "An odd one.", "since": DAY, "weight": 0.5,
        "conditions": (at_least("amount", 10.0),),
    }  # fmt: skip
    return Rule(**{**fields, **changes})


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_rule_holds_where_all_its_conditions_hold(rule: Rule) -> None:
    at_level = {condition.name: condition.level for condition in rule.conditions}
    position = RULES.index(rule)
    assert BOOK.hits(row(**at_level))[0, position]
    for condition in rule.conditions:
        towards = BEYOND.get(condition.comparison, np.inf)
        beyond = {**at_level, condition.name: np.nextafter(condition.level, towards)}
        assert not BOOK.hits(row(**beyond))[0, position]
        unknown = {**at_level, condition.name: np.nan}
        assert not BOOK.hits(row(**unknown))[0, position]


def test_comparisons_are_at_least_at_most_and_equals() -> None:
    book = Rulebook(
        [
            made(code="low", conditions=(at_least("amount", 5.0),)),
            made(code="high", conditions=(at_most("amount", 5.0),)),
            made(code="same", conditions=(equals("amount", 5.0),)),
        ]
    )
    amounts = np.concatenate([row(amount=value) for value in (4.0, 5.0, 6.0)])
    expected = [[False, True, False], [True, True, True], [True, False, False]]
    assert book.hits(amounts).tolist() == expected


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"conditions": (at_least("amuont", 1.0),)}, r"conditions\[0\].name"),
        (
            {"conditions": (at_least("amount", 1.0), equals("channel", 1.0))},
            r"conditions\[1\].name",
        ),
        ({"conditions": (at_least("amount", float("nan")),)}, r"conditions\[0\].level"),
        ({"conditions": (at_least("amount", "10"),)}, r"conditions\[0\].level"),
        ({"conditions": (Condition("amount", "above", 1.0),)}, r"conditions\[0\].comparison"),
        ({"conditions": ()}, "conditions"),
        ({"weight": 1.0}, "weight"),
        ({"weight": 0.5, "action": "approve"}, "weight"),
        ({"action": "refuse"}, "action"),
        ({"mode": "off"}, "mode"),
        ({"version": 0}, "version"),
        ({"code": "two words"}, "code"),
    ],
)
def test_a_wrong_rule_is_refused_by_its_name_and_field(changes: dict[str, Any], field: str) -> None:
    code = changes.get("code", "odd")
    with pytest.raises(RuleError, match=f"rule '{code}': {field} must be "):
        made(**changes)


def test_what_is_unknown_accuses_no_one() -> None:
    assert not BOOK.hits(row()).any()
    assert BOOK.scores(BOOK.hits(row()))[0] == 0


def test_two_rules_weigh_more_than_one() -> None:
    one = BOOK.scores(BOOK.hits(row(card_payment_count_1h=5)))[0]
    both = row(card_payment_count_1h=5, device_card_count_30d=4)
    weights = {rule.code: rule.weight for rule in RULES}
    assert one == pytest.approx(weights["card_burst"])
    expected = 1 - (1 - one) * (1 - weights["device_many_cards"])
    assert BOOK.scores(BOOK.hits(both))[0] == pytest.approx(expected)


def test_a_rule_in_shadow_mode_is_logged_and_accuses_no_one() -> None:
    book = Rulebook([made(mode="shadow", action="decline"), made(code="large", version=3)])
    hits = book.hits(np.concatenate([row(amount=10.0), row(amount=9.0)]))
    assert book.marks(hits) == [["odd@1 shadow", "large@3"], []]
    assert book.accuses.tolist() == [False, True]
    assert book.scores(hits).tolist() == pytest.approx([0.5, 0.0])
    assert [rule.acts for rule in book.rules] == [False, False]


def test_codes_name_one_rule_each() -> None:
    with pytest.raises(RuleError, match="rule 'odd': code must be that of one rule only"):
        Rulebook([made(), made(version=2)])
