"""The contract of every system's SQL: what its rows are, and that they know nothing of later."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from agora.registry import SYSTEMS
from agora.serving.fields import Fields
from tests.shopping.log import at
from tests.systems.marts import KNOWN, marts

if TYPE_CHECKING:
    from pathlib import Path

    from agora.stores.lake import Lake
    from agora.system import System


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return marts(tmp_path_factory.mktemp("marts"))


@pytest.fixture(scope="module", params=sorted(SYSTEMS))
def system(request: pytest.FixtureRequest) -> System:
    return SYSTEMS[request.param]


def test_a_labelled_row_is_a_request_with_what_came_of_it(system: System, lake: Lake) -> None:
    rows = system.labelled(lake, KNOWN)
    added = {"event_at", system.label, "label_arrived_at"}
    if system.items:
        added |= {system.items.column, "position", "propensity"}
    assert added <= set(rows.columns)
    assert rows["event_at"].null_count() == 0
    asked = requests_of(system, rows)
    assert asked
    for request in asked:
        system.request.model_validate(request)


def test_a_batch_asks_what_a_caller_might(system: System, lake: Lake) -> None:
    day = KNOWN.date() - timedelta(days=2)
    asked = requests_of(system, system.requests(lake, day))
    assert asked
    for request in asked:
        system.request.model_validate(request)
        assert request["event_at"].date() <= day + timedelta(days=1)


def test_what_arrived_later_changes_nothing(system: System, lake: Lake, tmp_path: Path) -> None:
    until = at(6.5)
    rows = system.labelled(lake, until)
    assert not rows.is_empty()
    assert rows.equals(system.labelled(marts(tmp_path, until), until))


def requests_of(system: System, rows: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows as callers send them: what is null is left out, counts are whole."""
    types = Fields(system.request).dtypes
    assert types.keys() <= set(rows.columns)
    whole = {
        name
        for name, field in system.request.model_fields.items()
        if field.annotation in {int, bool}
    }
    return [
        {
            name: int(value) if name in whole else value
            for name, value in row.items()
            if value is not None
        }
        for row in rows.select(pl.col(name).cast(kind) for name, kind in types.items()).to_dicts()
    ]
