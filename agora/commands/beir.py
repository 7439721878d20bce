"""`agora ingest beir`: a judged collection's documents as products, its queries as searches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agora.commands.terminal import console, fail
from agora.settings import settings


def ingest(
    path: Annotated[Path, typer.Argument(help="Folder in BEIR's format.")],
) -> None:
    """Land a judged collection in BEIR's format; its judgements are for `agora benchmark beir`."""
    from agora.sources import SOURCES

    try:
        summary = SOURCES["beir"].land(path, Path(settings().landing))
    except (ValueError, OSError) as error:
        raise fail(str(error)) from error
    console.print(str(summary))
