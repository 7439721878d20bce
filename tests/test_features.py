"""Feature sets: what follows from a declaration."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from agora.entities import FEATURE_SETS
from tests.feature_histories import CARDS


def test_names_follow_from_the_declaration() -> None:
    assert CARDS.id == "cards__test@1"
    assert CARDS.table == "features/ftr_cards__test"
    assert CARDS.names == ("count", "mean")
    assert CARDS.columns == ("card_count", "card_mean")
    assert CARDS.time_column == "cards__test__feature_at"
    assert CARDS.entity.key == "card_id"


def test_equal_sets_are_one_key() -> None:
    twin = replace(CARDS)
    assert twin == CARDS
    assert len({CARDS, twin, replace(CARDS, version=2)}) == 2


def test_a_set_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        CARDS.version = 2  # type: ignore[misc]


def test_columns_of_all_sets_can_stand_in_one_frame() -> None:
    columns = [name for each in FEATURE_SETS.values() for name in (*each.columns, each.time_column)]
    assert len(columns) == len(set(columns))
    assert all(each.defaults and each.names for each in FEATURE_SETS.values())
