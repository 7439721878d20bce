from __future__ import annotations

import numpy as np
import pytest

from agora.systems.fraud.features import INPUTS
from agora.systems.fraud.rules import RULES, hits, rule_scores


def row(**values: float) -> np.ndarray:
    """A decoded row of which only these inputs are known."""
    matrix = np.full((1, len(INPUTS)), np.nan)
    for name, value in values.items():
        matrix[0, INPUTS.index(name)] = value
    return matrix


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_rule_holds_where_all_its_conditions_hold(rule: object) -> None:
    at_level = {condition.name: condition.at_least for condition in rule.conditions}
    position = RULES.index(rule)
    assert hits(row(**at_level))[0, position]
    for name, level in at_level.items():
        assert not hits(row(**{**at_level, name: np.nextafter(level, -np.inf)}))[0, position]


def test_what_is_unknown_accuses_no_one() -> None:
    assert not hits(row()).any()
    assert rule_scores(row())[0] == 0


def test_two_rules_weigh_more_than_one() -> None:
    one = rule_scores(row(card_payment_count_1h=5))[0]
    two = rule_scores(row(card_payment_count_1h=5, device_card_count_30d=4))[0]
    weights = {rule.code: rule.weight for rule in RULES}
    assert one == pytest.approx(weights["card_burst"])
    assert two == pytest.approx(1 - (1 - one) * (1 - weights["device_many_cards"]))


def test_codes_are_unique_and_texts_are_sentences() -> None:
    assert len({rule.code for rule in RULES}) == len(RULES)
    assert all(rule.text.endswith(".") for rule in RULES)
