"""What assets stand on, by the same keys in every environment; only these connect to anything."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from agora.settings import Settings
from agora.stores.lake import Lake
from agora.stores.models import ModelRegistry
from agora.stores.online import OnlineStore
from agora.stores.valkey import open_online
from resources.dbt import dbt


def resources_for(settings: Settings) -> dict[str, Any]:
    """The resources of an instance: local, test and production differ in their settings only.

    Plain objects, not configurable resources: the UI shows the configuration of those, and the
    lake's options and the stores' addresses hold secrets.
    """
    return {
        "settings": settings,
        "lake": Lake(settings.lake, settings.lake_options),
        "online": online(settings),
        "models": ModelRegistry(settings),
        "dbt": dbt(),
    }


def online(settings: Settings) -> dg.ResourceDefinition:
    """The online store, opened by the first step that needs it."""

    def opened(_: dg.InitResourceContext) -> Iterator[OnlineStore]:
        store = open_online(settings)
        try:
            yield store
        finally:
            store.close()

    return dg.ResourceDefinition(opened, description="Online feature store.")
