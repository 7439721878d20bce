"""`agora index`."""

from __future__ import annotations

from typing import Annotated

import typer

from agora.commands.terminal import console, fail, system_of
from agora.settings import settings


def index(
    name: Annotated[str, typer.Argument(help="Name of the system.")],
    anew: Annotated[bool, typer.Option(help="Compute every item's part again.")] = False,
) -> None:
    """Bring a system's index up to date with its catalogue, behind its gate."""
    from agora.pipeline import PipelineError
    from agora.serving.index_update import update_index
    from agora.stores.lake import Lake
    from agora.stores.models import ModelRegistry

    system, here = system_of(name), settings()
    if system.items is None:
        raise fail(f"{name} does not choose from items: it has no index")
    lake, models = Lake(here.lake, here.lake_options), ModelRegistry(here)
    try:
        made = update_index(system, lake, models, here, anew=anew)
    except (LookupError, PipelineError) as error:
        raise fail(str(error)) from error
    if made.reasons:
        raise fail(f"{name}: refused, the index before goes on: {'; '.join(made.reasons)}")
    until = f"features until {made.made_of.features_until:%Y-%m-%d %H:%M}"
    does = "serves" if made.is_new else "serves already; nothing has changed"
    console.print(f"{name}: index {made.number} of {made.items:,} items, {until}, {does}")
