"""Feature sets: what follows from a declaration."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from agora.entities import FEATURE_SETS
from agora.entities.sequences import merchant_bucket
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


def test_a_sequence_names_all_fields_of_the_newest_payment_first() -> None:
    names = FEATURE_SETS["cards__sequence"].names
    assert names[:7] == (
        "amount_1", "event_at_1", "merchant_1", "channel_1", "latitude_1", "longitude_1", "amount_2"
    )  # fmt: skip
    assert names[-1] == "longitude_16"
    assert len(names) == 96


def test_a_merchants_bucket_is_the_same_everywhere() -> None:
    # `printf merchant_7 | md5sum` begins with b94, which is 2964; that of m0001 with bf3.
    assert merchant_bucket("merchant_7") == 2964 % 1024
    assert merchant_bucket("m0001") == 3059 % 1024
