"""All systems by name. Only orchestration and the command line import this; a bento never does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agora.systems.fraud import SYSTEM as FRAUD

if TYPE_CHECKING:
    from agora.system import System

SYSTEMS: dict[str, System] = {system.name: system for system in (FRAUD,)}
