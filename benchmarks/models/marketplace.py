"""A training set of a simulated marketplace by the real path: files, raw, dbt, point in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from agora import warehouse
from agora.dataset import TrainingSet, build_training_set
from agora.ingest import ingest
from agora.settings import Settings
from agora.simulator import simulate
from agora.stores.lake import Lake
from agora.tables import TABLES

if TYPE_CHECKING:
    from agora.dataset import Split
    from agora.simulator import Params
    from agora.system import System


def training_set(
    home: Path,
    params: Params,
    system: System,
    split: Split | None = None,
    *,
    until: timedelta = timedelta(),
) -> TrainingSet:
    """Simulate, ingest, build the features and join; saved in the home's lake.

    Args:
        home: The instance.
        params: The marketplace.
        system: Whose training set.
        split: Its spans; the system's own by default.
        until: Moves the moment that it is made at from the end of the marketplace.
    """
    settings = Settings(home=home)
    end = params.start + timedelta(days=params.days)
    simulate(params, Path(settings.landing), home / "truth")
    lake = Lake(settings.lake)
    for table in TABLES.values():
        ingest(lake, settings.landing, table, params.start, end)
    warehouse.build(settings, params.start, end)
    as_of = datetime.combine(end, datetime.min.time(), UTC) + until
    made = build_training_set(system, lake, as_of, split)
    made.save(lake)
    return made
