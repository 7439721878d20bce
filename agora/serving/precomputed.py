"""Lists that were made in batch, kept in the online store for the service to look up.

One answer per value of the request field that the system's `Items.keyed_by` names, under a key
that carries the model's version: another model's lists are never given. They stand in for a live
answer that cannot be computed, and can be asked for themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, create_model

from agora.stores.indexes import model_of

if TYPE_CHECKING:
    from agora.items import Items
    from agora.stores.online import OnlineStore
    from agora.system import System

PATH = "/precomputed"
# Lists outlive one night's batch that fails, and a weekend.
SECONDS = 4 * 86_400.0
WRITTEN_AT_ONCE = 2_000


def key_of(system: str, version: str, value: str) -> str:
    """Where a list is kept.

    Args:
        system: The system.
        version: Version that made it, or that asks for it: only its model counts.
        value: Of the field that lists are keyed by.
    """
    return f"agora:lists:{system}:{model_of(version)}:{value}"


def publish_lists(
    system: System, items: Items, online: OnlineStore, predictions: pl.DataFrame
) -> int:
    """Keep the answers of a batch; returns how many.

    Args:
        system: Whose.
        items: What it chooses from.
        online: Where they are kept.
        predictions: Rows of the prediction table; of rows with one key the last counts.
    """
    path = f"$.{items.keyed_by}"
    lists = predictions.select(
        "model_version", "output", key=pl.col("request").str.json_path_match(path)
    ).drop_nulls("key")
    for part in lists.iter_slices(WRITTEN_AT_ONCE):
        values = {
            key_of(system.name, version, key): output.encode()
            for version, output, key in part.iter_rows()
        }
        online.keep(values, SECONDS)
    return lists["key"].n_unique()


def params_of(system: System, items: Items) -> type[BaseModel]:
    """Query parameters of the page that looks a list up: the request's own field, required."""
    name = str(items.keyed_by)
    field = system.request.model_fields[name]
    fields: dict[str, Any] = {
        name: (field.rebuild_annotation(), Field(description=field.description))
    }
    made: type[BaseModel] = create_model(
        f"{system.name.capitalize()}Precomputed",
        __config__=ConfigDict(extra="forbid", frozen=True),
        **fields,
    )
    return made
