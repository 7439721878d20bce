"""`agora ingest movielens`: ratings of films as customers, products and interactions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agora.commands.terminal import console, fail
from agora.settings import settings


def ingest(
    path: Annotated[Path, typer.Argument(help="The data set's folder.")],
) -> None:
    """Land the ratings of MovieLens."""
    from agora.sources import SOURCES

    try:
        summary = SOURCES["movielens"].land(path, Path(settings().landing))
    except (ValueError, OSError) as error:
        raise fail(str(error)) from error
    console.print(str(summary))
