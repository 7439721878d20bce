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
        KeyboardInterrupt: The user interrupted. The terminal tells the child as well, which is
            waited for first: it ends in order, and an exit code of an interrupted run says nothing.
    """
    command = [sys.executable, "-m", module, *arguments]
    interrupted = False
    with subprocess.Popen(command, cwd=folder, env=child_environment(settings)) as child:
        while child.poll() is None:
            try:
                child.wait()
            except KeyboardInterrupt:
                interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    return child.returncode
