"""Deployments: which model each running service serves, one small file per system.

The file is replaced whole, so a reader sees the state before or after a switch and nothing between.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotation
from typing import TYPE_CHECKING, Any

import msgspec

from agora.stores.durable import write_whole

if TYPE_CHECKING:
    from pathlib import Path


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """One deployed version of a system.

    Attributes:
        system: The system.
        version: Model version.
        bento: Tag in the BentoML store.
        model: Folder of the pipeline in the BentoML model store.
        golden: Requests with the answers that this version gives without a store.
        deployed_at: When the smoke test passed.
        run_id: Run that deployed it.
    """

    system: str
    version: str
    bento: str
    model: str
    golden: list[dict[str, Any]]
    deployed_at: datetime
    run_id: str | None = None


class Pointer(msgspec.Struct, frozen=True, kw_only=True):
    """What the service serves, and what it served before."""

    current: Deployment
    previous: Deployment | None = None


def path_of(folder: Path, system: str) -> Path:
    """The system's pointer file."""
    return folder / f"{system}.json"


def read(folder: Path, system: str) -> Pointer | None:
    """The system's pointer; None before its first deployment."""
    try:
        return msgspec.json.decode(path_of(folder, system).read_bytes(), type=Pointer)
    except FileNotFoundError:
        return None


def write(folder: Path, pointer: Pointer) -> None:
    """Replace the pointer of a system, whole."""
    content = msgspec.json.format(msgspec.json.encode(pointer))
    write_whole(path_of(folder, pointer.current.system), content)
