"""One lake that dbt itself built, and the compiled SQL for everything that needs many runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agora.settings import Settings
from agora.stores.lake import Lake
from agora.warehouse import build
from tests.dbt.compiled import compiled_models
from tests.dbt.histories import END, FIRST_DAY, random_history

if TYPE_CHECKING:
    import polars as pl


@pytest.fixture(scope="session")
def history() -> dict[str, pl.DataFrame]:
    """What landed in the lake that dbt built; some contract tables are not in it."""
    return random_history(7)


@pytest.fixture(scope="session")
def built(
    tmp_path_factory: pytest.TempPathFactory, history: dict[str, pl.DataFrame]
) -> tuple[Settings, Lake]:
    """An instance whose warehouse dbt built for all days at once."""
    settings = Settings(home=tmp_path_factory.mktemp("built"))
    lake = Lake(settings.lake)
    for name, frame in history.items():
        lake.write(f"raw/{name}", frame, partition_by="arrival_date")
    build(settings, FIRST_DAY, END)
    return settings, lake


@pytest.fixture(scope="session")
def models(built: tuple[Settings, Lake]) -> list[dict[str, str]]:
    """The models as that build compiled them, in dependency order."""
    return compiled_models(built[0])
