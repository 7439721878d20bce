"""Child processes of the command line."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from agora.settings import child_environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agora.settings import Settings


def run_module(module: str, arguments: Sequence[str], settings: Settings, folder: Path) -> int:
    """Run a Python module in the foreground and return its exit code.

    Raises:
        KeyboardInterrupt: The user interrupted, see `run_side_by_side`.
    """
    return run_side_by_side(module, [arguments], settings, folder)[0]


def run_side_by_side(
    module: str, each: Sequence[Sequence[str]], settings: Settings, folder: Path
) -> list[int]:
    """Run a Python module once with each of some arguments, all at once; the exit codes.

    Raises:
        KeyboardInterrupt: The user interrupted. The terminal tells the children as well, which are
            waited for first: they end in order, and an exit code of an interrupted run says
            nothing.
    """
    environment = child_environment(settings)
    children = [
        subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=folder, env=environment)
        for arguments in each
    ]
    interrupted = False
    for child in children:
        while child.poll() is None:
            try:
                child.wait()
            except KeyboardInterrupt:
                interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    return [child.returncode for child in children]
