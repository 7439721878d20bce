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

    An interrupt reaches the child through the terminal; here it is only waited for.
    """
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, cwd=folder, env=child_environment(settings)) as child:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                continue
