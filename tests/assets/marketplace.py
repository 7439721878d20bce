"""A tiny marketplace on an instance of its own, and how tests run assets on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from agora.simulator import Params, simulate
from agora.stores.lake import Lake
from assets.partitions import range_tags
from assets.run import QUIET, selected
from definitions import definitions_for
from resources.instance import instance

if TYPE_CHECKING:
    from agora.settings import Settings

START, DAYS = date(2026, 3, 1), 8
LAST = START + timedelta(days=DAYS - 1)


@dataclass(frozen=True)
class Marketplace:
    """An instance with landed files.

    Attributes:
        settings: Its settings.
        definitions: What Dagster knows of it.
        instance: Its Dagster instance.
    """

    settings: Settings
    definitions: dg.Definitions
    instance: dg.DagsterInstance

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake)

    def run(self, select: str, first: date = START, last: date = LAST) -> dg.ExecuteInProcessResult:
        """Materialize a selection for the days from first to last."""
        graph = self.definitions.get_repository_def().asset_graph
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance,
            asset_selection=sorted(selected(select).resolve(graph)),
            tags=range_tags(str(first), str(last)),
            run_config=QUIET,
            raise_on_error=False,
        )

    def newest(self, *key: str) -> dict[str, Any]:
        """Metadata of an asset's newest materialization."""
        event = self.instance.get_latest_materialization_event(dg.AssetKey(key))
        assert event is not None
        assert event.asset_materialization is not None
        return {name: value.value for name, value in event.asset_materialization.metadata.items()}

    def partitions(self, *key: str) -> set[str]:
        """Days that are materialized."""
        return self.instance.get_materialized_partitions(dg.AssetKey(key))

    def landed(self, table: str, day: date) -> Path:
        """Folder where a day's files land."""
        return Path(self.settings.landing) / table / f"dt={day}"


def opened(settings: Settings, days: int = DAYS, payments: int = 60) -> Marketplace:
    """Simulate a few days and open the instance."""
    params = Params(
        seed=7, start=START, days=days, payments_per_day=payments, customers=200, merchants=40
    )
    simulate(params, Path(settings.landing), None)
    return Marketplace(settings, definitions_for(settings), instance(settings))
