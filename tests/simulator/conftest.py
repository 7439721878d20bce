"""Marketplaces that are built once for all tests of the simulator."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from agora.simulator.history import shop
from agora.simulator.simulation import build
from agora.simulator.world import World, make_world
from tests.simulator.marketplaces import DRIFT_DAY, FULL, SHOP, SMALL

Built = tuple[dict[str, pl.DataFrame], pl.DataFrame]


@pytest.fixture(scope="session")
def small() -> Built:
    return build(SMALL)


@pytest.fixture(scope="session")
def full() -> Built:
    return build(FULL)


@pytest.fixture(scope="session")
def drifted() -> Built:
    return build(replace(FULL, drift_at=DRIFT_DAY))


@pytest.fixture(scope="session")
def world() -> World:
    return make_world(SHOP)


@pytest.fixture(scope="session")
def visited(world: World) -> dict[str, pl.DataFrame]:
    """Searches, impressions and interactions of the world's history."""
    return shop(world)
