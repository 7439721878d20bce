"""What the commands share: where they print, and how they fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.console import Console

if TYPE_CHECKING:
    from agora.system import System

console = Console(highlight=False)


def fail(message: str) -> typer.Exit:
    """Print what is wrong and how to mend it; the caller raises the exit."""
    console.print(f"[red]{message}[/]", soft_wrap=True)
    return typer.Exit(1)


def system_of(name: str) -> System:
    """The system of this name; fails when there is none."""
    from agora.registry import SYSTEMS

    if name not in SYSTEMS:
        raise fail(f"system: {name!r} is unknown; choose one of {', '.join(SYSTEMS)}")
    return SYSTEMS[name]
