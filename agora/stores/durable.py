"""Files that are there whole or not at all, and still there after a crash of the machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Replace a file, or make it, in one step.

    Args:
        path: The file; its folder is made if it is absent.
        content: What it holds afterwards.
        mode: Permissions of the file, less the process's mask.
    """
    draft_of(path, content, mode).replace(path)


def draft_of(path: Path, content: bytes, mode: int = 0o666) -> Path:
    """A finished draft beside the path, on disk; the caller gives it its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return draft
