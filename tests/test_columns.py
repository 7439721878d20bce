"""Columns of one request: the same columns as a dictionary of arrays, in two blocks."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from agora.columns import Gather, RequestColumns, RequestLayout, microseconds
from agora.entities.cards import CARDS_DAILY
from agora.entities.customers import CUSTOMERS_RECENT
from agora.pipeline import MISSING_TIME

SETS = (CARDS_DAILY, CUSTOMERS_RECENT)
WIDTH = sum(len(each.columns) for each in SETS)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _columns(**changes: object) -> RequestColumns:
    layout = RequestLayout(SETS, ("card_id", "device_id"), ("amount", "latitude"), ("event_at",))
    fields = {
        "card_id": "k", "device_id": None, "amount": 5.0, "latitude": None, "event_at": NOON
    } | changes  # fmt: skip
    return layout.columns(np.arange(WIDTH, dtype="<f8").tobytes(), [7, MISSING_TIME], fields, 99)


def test_every_column_is_found_by_its_name() -> None:
    columns = _columns()
    for place, name in enumerate(c for each in SETS for c in each.columns):
        assert columns[name].tolist() == [place]
    assert columns["amount"].tolist() == [5.0]
    assert np.isnan(columns["latitude"]).tolist() == [True]
    assert columns[CARDS_DAILY.time_column].tolist() == [7]
    assert columns[CUSTOMERS_RECENT.time_column].tolist() == [MISSING_TIME]
    assert columns["event_at"].tolist() == [microseconds(NOON)]
    assert columns["card_id"].tolist() == ["k"]
    assert columns["device_id"].tolist() == [None]
    with pytest.raises(KeyError):
        columns["colour"]
    assert len(columns) == len({*columns}) == WIDTH + len(SETS) + 5


def test_a_request_without_a_time_is_of_now() -> None:
    layout = RequestLayout((), ("card_id",), (), ())
    assert layout.columns(b"", [], {"card_id": "k"}, 99)["event_at"].tolist() == [99]


@pytest.mark.parametrize(
    "names",
    [
        ("amount", *CARDS_DAILY.columns[::-1], "latitude"),
        ("event_at", *(each.time_column for each in SETS)),
    ],
)
def test_columns_gathered_at_once_are_those_gathered_from_a_dictionary(
    names: tuple[str, ...],
) -> None:
    columns, gather = _columns(), Gather(names)
    single = {name: columns[name] for name in columns}
    expected = gather(single)
    assert expected.shape == (len(names), 1)
    for found in (gather(columns), gather(columns), gather(single, np.empty(expected.shape))):
        assert np.array_equal(found, expected, equal_nan=True)
    target = np.full((len(names) + 2, 1), -1.0)
    gather(columns, target[1:-1])
    assert np.array_equal(target[1:-1], expected, equal_nan=True)
    assert target[[0, -1]].tolist() == [[-1], [-1]]
    three = gather({name: np.repeat(column, 3) for name, column in single.items()})
    assert np.array_equal(three, np.repeat(expected, 3, axis=1), equal_nan=True)


def test_numbers_and_times_are_not_gathered_together() -> None:
    with pytest.raises(KeyError):
        Gather(("amount", "event_at"))(_columns())
