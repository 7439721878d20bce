"""All systems by name. Only orchestration and the command line import this; a bento never does.

A system is a package below `agora.systems` that has a `SYSTEM`: making its folder adds it, deleting
the folder takes it away.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

import agora.systems

if TYPE_CHECKING:
    from agora.system import System


def _found() -> dict[str, System]:
    names = sorted(module.name for module in iter_modules(agora.systems.__path__) if module.ispkg)
    return {name: import_module(f"agora.systems.{name}").SYSTEM for name in names}


SYSTEMS: dict[str, System] = _found()
