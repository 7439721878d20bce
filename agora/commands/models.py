"""`agora history`, `agora withdraw`, `agora backtest` and `agora stream`."""

from __future__ import annotations

import signal
import threading
from datetime import UTC, datetime
from typing import Annotated

import typer

from agora.commands.terminal import console, fail, system_of
from agora.settings import settings

FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
Moment = Annotated[datetime | None, typer.Option("--at", formats=FORMATS, help="UTC.")]


def history(
    name: Annotated[str, typer.Argument(help="Name of the system.")], at: Moment = None
) -> None:
    """Which version served at a time, since when, by whose decision; or all that was decided."""
    from agora.history import render

    moment = at.replace(tzinfo=UTC) if at else None
    console.print(render(settings(), system_of(name), moment), soft_wrap=True)


def withdraw(
    name: Annotated[str, typer.Argument(help="Name of the system.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
) -> None:
    """Take back what analysts' labels have shifted; the model itself goes on."""
    from agora.analysts import withdraw as run
    from agora.stores.decisions import person

    done = run(system_of(name), settings(), by=person(), reason=reason)
    console.print(f"{name}: {'withdrawn' if done else 'no adjustments are in force'}")


def backtest(
    name: Annotated[str, typer.Argument(help="Name of the system.")],
    rule: Annotated[str | None, typer.Option(help="Only this rule; all by default.")] = None,
) -> None:
    """What a system's rules were worth on payments whose outcome is known."""
    from agora.pipeline import PipelineError
    from agora.stores.lake import Lake
    from agora.stores.models import ModelRegistry

    system = system_of(name)
    if system.backtest is None:
        raise fail(f"{name} has no rules to test")
    try:
        lake, models = Lake(settings().lake, settings().lake_options), ModelRegistry(settings())
        champion = models.load(system) if models.alias(system) else None
        console.print(system.backtest(lake, rule, champion), soft_wrap=True)
    except (LookupError, ValueError, PipelineError) as error:
        raise fail(str(error)) from error


def stream(
    once: Annotated[bool, typer.Option(help="Take what is there, then stop.")] = False,
) -> None:
    """Keep features fresh from payments and from what customers click; Ctrl-C ends it."""
    from agora.streams.running import run

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    console.print(f"{run(settings(), once=once, stop=stop):,} events taken")
