"""Rows and position move together, and only one runner moves them."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import polars as pl
import pytest

from agora.stores.lake import Lake
from agora.streams.sink import OvertakenError, Sink

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND = date(2026, 5, 1), date(2026, 5, 2)


def _rows(day: date, *numbers: int) -> pl.DataFrame:
    return pl.DataFrame({"n": numbers, "day": [day] * len(numbers)})


def _opened(lake: Lake) -> Sink:
    return Sink(lake, "stream/x", _rows(FIRST, 1).to_arrow().schema, "day", "topic")


def test_a_table_says_how_far_it_is_whoever_opens_it(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    sink = _opened(lake)
    assert (sink.position, sink.watermark) == (0, 0)
    sink.append(_rows(FIRST, 1, 2), 7, 100)
    sink.append(_rows(FIRST), 9, 120)
    assert (sink.position, sink.watermark) == (9, 120)
    again = _opened(lake)
    assert (again.position, again.watermark) == (9, 120)


def test_a_second_runner_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    first, second = _opened(lake), _opened(lake)
    first.append(_rows(FIRST, 1), 1, 1)
    with pytest.raises(OvertakenError, match="another process"):
        second.append(_rows(FIRST, 1), 1, 1)
    assert lake.read("stream/x")["n"].to_list() == [1]


def test_one_that_has_read_the_table_anew_is_refused_as_well(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    first, second = _opened(lake), _opened(lake)
    first.append(_rows(FIRST, 1), 5, 1)
    second.compact()
    with pytest.raises(OvertakenError, match="another process"):
        second.append(_rows(FIRST, 2), 3, 1)
    assert lake.read("stream/x")["n"].to_list() == [1]


def test_compaction_and_forgetting_keep_rows_and_position(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    sink = _opened(lake)
    for number in range(10):
        sink.append(_rows((FIRST, SECOND)[number % 2], number), number + 1, number)
    sink.compact()
    assert len(lake.table("stream/x").file_uris()) == 2
    assert sorted(lake.read("stream/x")["n"]) == list(range(10))
    sink.forget(SECOND)
    assert sorted(lake.read("stream/x")["n"]) == [1, 3, 5, 7, 9]
    assert (_opened(lake).position, _opened(lake).watermark) == (10, 9)
    sink.append(_rows(SECOND, 10), 11, 10)
    assert lake.read("stream/x").height == 6
