"""Versions of the toy system, as they are deployed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agora.serving.golden import golden_answers
from agora.stores.deployments import Deployment
from tests.toy_system import ToyPipeline, toy_system

if TYPE_CHECKING:
    from pathlib import Path

TOY = toy_system()


def saved(folder: Path, version: str, scale: float = 100.0) -> Path:
    """Folder of a saved toy pipeline."""
    ToyPipeline(version, scale).save(folder / version)
    return folder / version


def deployment(folder: Path, version: str, scale: float = 100.0) -> Deployment:
    """A version of the toy, saved, with its golden answers."""
    path = saved(folder, version, scale)
    return Deployment(
        system="toy", version=version, bento=f"toy:{version}", model=str(path),
        golden=golden_answers(TOY, ToyPipeline(version, scale)), deployed_at=datetime.now(UTC),
    )  # fmt: skip
