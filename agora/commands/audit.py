"""`agora trace` and `agora cost`: what an answer stands on, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agora.commands.terminal import console, fail, system_of
from agora.settings import Settings, settings

if TYPE_CHECKING:
    from agora.audit.trace import Trace
    from agora.stores.lake import Lake


def trace(
    prediction_id: Annotated[str, typer.Argument(help="Id that the answer gave.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Follow a prediction back to its files and forward to its outcome; score it again.

    The exit code is 1 when the score, or a feature, is not what was answered.
    """
    from agora.audit.report import render

    found = _trace(settings(), prediction_id)
    if as_json:
        print(found.to_json())
    else:
        console.print(render(found))
    if not found.equal:
        raise typer.Exit(1)


def cost(name: Annotated[str, typer.Argument(help="Name of the system.")]) -> None:
    """What a prediction costs, by stage, from the answers that were logged."""
    from agora.audit.cost import cost_sheet

    system = system_of(name)
    try:
        console.print(cost_sheet(system, _lake(settings(), system.name)).markdown())
    except LookupError as error:
        raise fail(str(error)) from error


def _trace(here: Settings, prediction_id: str) -> Trace:
    from agora.audit.replay import loader
    from agora.audit.trace import find, trace
    from agora.registry import SYSTEMS
    from agora.stores.models import ModelRegistry, UnknownModelError

    models = ModelRegistry(here)
    for system in SYSTEMS.values():
        lake = _lake(here, system.name)
        row = find(lake, system.name, prediction_id)
        if len(row):
            version = str(row["model_version"][0]).partition("+")[0]
            try:
                card = models.card(system, version)
            except UnknownModelError:
                card = None
            load = loader(models, system, here)
            return trace(system, lake, row, load, card)
    raise fail(f"no prediction {prediction_id!r} in the log; is it of this AGORA_HOME?")


def _lake(here: Settings, system: str) -> Lake:
    """The lake, with all that the service has answered until now."""
    from agora.stores.drain import drain
    from agora.stores.lake import Lake

    lake = Lake(here.lake, here.lake_options)
    drain(here.prediction_log / system, lake)
    return lake
