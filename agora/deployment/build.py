"""Builds a bento: the model in the BentoML store, the code it needs, exact requirements.

BentoML reads its home when it is imported, so the build runs in a process of its own.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from packaging.requirements import Requirement

from agora.deployment.errors import DeploymentError
from agora.serving.bento import MODEL_FILE
from agora.settings import child_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora.settings import Settings

PACKAGE = Path(__file__).resolve().parents[1]
BUILD_SECONDS = 120
# Never needed to answer a request: the command line and what only it or Dagster runs.
LEFT_OUT = (
    "cli.py", "commands", "demo", "deployment", "doctor.py", "protocols", "registry.py", "simulator"
)  # fmt: skip


class Built(msgspec.Struct, frozen=True):
    """A built bento.

    Attributes:
        bento: Its tag.
        folder: Its folder in the BentoML store.
        model: Folder of its pipeline in the BentoML model store.
    """

    bento: str
    folder: str
    model: str


def target_of(system: str) -> str:
    """What BentoML is given: a module may hold a service for a tier beside the system's own."""
    return f"bentos.{system}.service:{system.capitalize()}"


def build(system: str, version: str, pipeline: Path, settings: Settings, project: Path) -> Built:
    """Import a pipeline's folder into the BentoML store and build the system's bento around it.

    Args:
        system: Name of the system; `<project>/bentos/<system>/service.py` is its service.
        version: Model version.
        pipeline: Folder of the saved pipeline.
        settings: Where the BentoML store is.
        project: Folder that holds `bentos/`.

    Raises:
        DeploymentError: BentoML did not build it.
    """
    with tempfile.TemporaryDirectory(prefix="agora-bento-") as scratch:
        context = Path(scratch) / "context"
        _stage(system, project, context)
        order = {
            "system": system,
            "version": version,
            "pipeline": str(pipeline),
            "context": str(context),
            "packages": requirements(system),
        }
        child = subprocess.run(
            [sys.executable, "-m", "agora.deployment.build"],
            input=json.dumps(order),
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            cwd=scratch,
            env=child_environment(settings),
            check=False,
        )
    if child.returncode != 0:
        raise DeploymentError(f"the bento was not built: {_last_line(child.stderr)}")
    return msgspec.json.decode(child.stdout.strip().splitlines()[-1], type=Built)


def requirements(system: str) -> list[str]:
    """Exact versions of all that a bento installs: agora's own dependencies and theirs.

    Args:
        system: Whose: an extra of agora of that name is installed too.
    """
    found: dict[str, str] = {}
    waiting = [*_needs("agora", frozenset({system})), ("bentoml", frozenset())]
    while waiting:
        name, extras = waiting.pop()
        if name not in found:
            found[name] = metadata.version(name)
            waiting.extend(_needs(name, extras))
        elif extras:
            waiting.extend(need for need in _needs(name, extras) if need[0] not in found)
    return sorted(f"{name}=={version}" for name, version in found.items())


def _needs(name: str, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for line in metadata.requires(name) or ():
        need = Requirement(line)
        contexts = [{"extra": extra} for extra in ("", *extras)]
        if need.marker is None or any(need.marker.evaluate(context) for context in contexts):
            yield need.name.lower(), frozenset(need.extras)


def _stage(system: str, project: Path, context: Path) -> None:
    """Copy what the image carries: the library with one system, and that system's bento."""

    def left_out(folder: str, names: list[str]) -> set[str]:
        ignored = {name for name in names if name == "__pycache__"}
        if Path(folder) == PACKAGE:
            ignored.update(LEFT_OUT)
        if Path(folder) == PACKAGE / "systems":
            ignored.update(name for name in names if name not in {system, "__init__.py"})
        return ignored

    service = project / "bentos" / system
    if not (service / "service.py").is_file():
        raise DeploymentError(f"there is no {service / 'service.py'}")
    shutil.copytree(PACKAGE, context / "agora", ignore=left_out)
    shutil.copytree(
        service, context / "bentos" / system, ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(project / "bentos" / "__init__.py", context / "bentos")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def _build_here(
    system: str, version: str, pipeline: str, context: str, packages: list[str]
) -> Built:
    import bentoml

    with bentoml.models.create(system, labels={"version": version}) as model:
        shutil.copytree(pipeline, model.path, dirs_exist_ok=True)
    service = Path(context) / "bentos" / system
    (service / MODEL_FILE).write_text(json.dumps({"tag": str(model.tag)}))
    bento = bentoml.bentos.build(
        target_of(system),
        build_ctx=context,
        include=["agora/**", "bentos/**"],
        models=[str(model.tag)],
        labels={"system": system, "version": version},
        python={"packages": packages, "lock_packages": False},
        docker={"python_version": "3.11"},
    )
    stored = bentoml.models.get(model.tag)  # While it is made, a model lives in a scratch folder.
    return Built(str(bento.tag), str(bento.path), str(stored.path))


if __name__ == "__main__":
    built = _build_here(**json.load(sys.stdin))
    # BentoML prints on its own; the last line is ours.
    print(msgspec.json.encode(built).decode())
