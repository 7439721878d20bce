"""Deploys and rolls back: the pointer is replaced last, and only for a version that passed."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agora.deployment.build import PACKAGE, build
from agora.deployment.errors import DeploymentError
from agora.deployment.smoke import smoke
from agora.pipeline import PipelineError
from agora.serving.golden import first_difference, golden_answers
from agora.stores import deployments
from agora.stores.decisions import Decision, person, record
from agora.stores.deployments import Deployment, Pointer
from agora.stores.lake import Lake
from agora.stores.models import ModelRegistry, UnknownModelError
from agora.stores.valkey import open_online

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora.settings import Settings
    from agora.system import System


def deploy(
    system: System,
    version: str,
    settings: Settings,
    *,
    run_id: str | None = None,
    folder: Path | None = None,
    project: Path = PACKAGE.parent,
) -> Deployment:
    """Build and test a version's bento, then point the running service at it.

    Args:
        system: The system.
        version: Model version in the registry.
        settings: The instance.
        run_id: Run that deploys, kept in the pointer.
        folder: Saved pipeline, instead of the registry's.
        project: Folder that holds `bentos/`.

    Raises:
        DeploymentError: It did not pass; pointer and service are as they were.
    """
    with _alone(system, settings):
        source = folder or _registered(system, version, settings)
        try:
            golden = golden_answers(system, system.load(source))
            built = build(system.name, version, source, settings, project)
            # From here on it is the copy in the store that counts.
            pipeline = system.load(Path(built.model))
        except PipelineError as error:
            raise DeploymentError(f"version {version}: {error}") from error
        candidate = Deployment(
            system=system.name,
            version=pipeline.version,
            bento=built.bento,
            model=built.model,
            golden=golden,
            deployed_at=datetime.now(UTC),
            run_id=run_id,
        )
        online = open_online(settings)
        try:
            smoke(system, pipeline, candidate, built, online, settings)
        finally:
            online.close()
        before = deployments.read(settings.deployments, system.name)
        deployments.write(
            settings.deployments,
            Pointer(current=candidate, previous=before.current if before else None),
        )
        return candidate


def rollback(
    system: System, settings: Settings, *, by: str | None = None, reason: str = ""
) -> Deployment:
    """Point the service at what it served before; a second rollback takes the first one back.

    The registry's champion follows, so that batches and the next challenger meet what serves.

    Args:
        system: The system.
        settings: The instance.
        by: Who decides; the person who runs this by default.
        reason: Why, for the record.

    Raises:
        DeploymentError: Nothing was served before, or it can no longer be.
    """
    with _alone(system, settings):
        pointer = deployments.read(settings.deployments, system.name)
        if pointer is None or pointer.previous is None:
            raise DeploymentError(f"{system.name}: no earlier deployment to go back to")
        earlier = pointer.previous
        try:
            pipeline = system.load(Path(earlier.model))
        except PipelineError as error:
            raise DeploymentError(f"version {earlier.version}: {error}") from error
        if difference := first_difference(system, pipeline, earlier.golden):
            raise DeploymentError(f"version {earlier.version}: {difference}")
        deployments.write(settings.deployments, Pointer(current=earlier, previous=pointer.current))
        # Serving comes first: what follows is for the books.
        models = ModelRegistry(settings)
        if earlier.version in models.versions(system):
            models.promote(system, earlier.version)
        record(
            Lake(settings.lake, settings.lake_options),
            Decision(
                system=system.name,
                version=earlier.version,
                action="rolled_back",
                by=by or person(),
                reasons=[reason] if reason else [],
                champion_before=pointer.current.version,
                champion_after=earlier.version,
            ),
        )
        return earlier


def _registered(system: System, version: str, settings: Settings) -> Path:
    try:
        return ModelRegistry(settings).folder(system, version)
    except UnknownModelError as error:
        raise DeploymentError(str(error)) from error


@contextmanager
def _alone(system: System, settings: Settings) -> Iterator[None]:
    """One deployment of a system at a time; a second one is refused, not queued."""
    settings.deployments.mkdir(parents=True, exist_ok=True)
    with (settings.deployments / f".{system.name}").open("w") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DeploymentError(f"{system.name}: another deployment is running") from error
        yield
