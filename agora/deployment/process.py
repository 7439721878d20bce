"""Runs a service: `bentoml serve` with its own BentoML home over the shared store."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agora.deployment.build import PACKAGE, target_of
from agora.deployment.errors import DeploymentError
from agora.settings import child_environment
from agora.stores import deployments
from agora.stores.models import ModelRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agora.settings import Settings
    from agora.system import System

STORES = ("bentos", "models")
STOP_SECONDS = 10
PR_SET_PDEATHSIG = 1
# Loaded here: between fork and exec a child must not import or open anything.
LIBC = ctypes.CDLL(None)


def serve(system: System, settings: Settings, *, port: int | None = None) -> int:
    """Become the system's service: this process is replaced by BentoML's and does not return.

    The deployed bento is served, and from then on every version that is deployed. Where nothing is
    deployed, the service of the working tree serves the registry's champion.

    Raises:
        DeploymentError: There is neither a deployed bento nor a service to run.
    """
    pointer = deployments.read(settings.deployments, system.name)
    if pointer is not None:
        # The store may have moved with AGORA_HOME: the tag is what names a bento.
        name, version = pointer.current.bento.split(":")
        bento = settings.bentoml_home / "bentos" / name / version
        if not bento.is_dir():
            raise DeploymentError(
                f"bento {pointer.current.bento} is not in {settings.bentoml_home}"
            )
        target, folder = str(bento), bento
    else:
        folder = PACKAGE.parent
        if not (folder / "bentos" / system.name / "service.py").is_file():
            raise DeploymentError(f"{system.name} has no bento; deploy it first")
        if ModelRegistry(settings).alias(system) is None:
            raise DeploymentError(
                f"{system.name}: nothing is deployed and no model is champion; run `make demo`, or "
                f"materialize {system.name}/bento"
            )
        target = target_of(system.name)
    port = port or settings.service_port
    command = _command(target, settings, port)
    sys.stdout.flush()
    os.chdir(folder)
    # Not a child: signals reach BentoML itself, and no server outlives the command that started it.
    os.execve(command[0], command, _environment(settings, port))


@contextmanager
def running(
    target: str, folder: Path, settings: Settings, port: int, log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A service as a child process, stopped with all its workers at the end.

    Args:
        target: What `bentoml serve` gets: a bento's folder or a service's import string.
        folder: Working directory.
        settings: The instance; its `service_host` is the address that is bound.
        port: Port that is bound.
        log: File for what it prints; this process's own output when None.
    """
    output = log.open("wb") if log else None
    child = subprocess.Popen(
        _command(target, settings, port),
        cwd=folder,
        env=_environment(settings, port),
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
        start_new_session=True,
        preexec_fn=_end_with_parent,
    )
    try:
        yield child
    finally:
        _stop(child)
        if output:
            output.close()


def _command(target: str, settings: Settings, port: int) -> list[str]:
    address = ["--host", settings.service_host, "--port", str(port)]
    return [sys.executable, "-m", "bentoml", "serve", target, *address]


def _environment(settings: Settings, port: int) -> dict[str, str]:
    chosen = settings.model_dump(mode="json", exclude_defaults=True)
    variables = {
        f"AGORA_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in chosen.items()
    }
    return child_environment(
        settings, {**variables, "BENTOML_HOME": str(_own_home(settings, port))}
    )


def _end_with_parent() -> None:
    # A deployment that is killed must not leave its trial service behind. Linux only.
    prctl = getattr(LIBC, "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _own_home(settings: Settings, port: int) -> Path:
    # Each `bentoml serve` empties a folder of its home in which other servers write.
    home = settings.home / "bentoml_servers" / str(port)
    home.mkdir(parents=True, exist_ok=True)
    for store in STORES:
        source = settings.bentoml_home / store
        source.mkdir(parents=True, exist_ok=True)
        link = home / store
        if not link.is_symlink() or link.readlink() != source:
            link.unlink(missing_ok=True)
            link.symlink_to(source)
    return home


def _stop(child: subprocess.Popen[bytes]) -> None:
    # BentoML ends its workers; those of a supervisor that had to be killed end on their own.
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
