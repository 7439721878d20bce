"""Seals: the manifest of a saved pipeline's folder, by which a torn or changed one is refused.

`seal` writes the manifest that names all files; `verify` refuses a folder that differs.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from importlib.metadata import version as library_version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agora.pipeline import Outputs

MANIFEST = "manifest.json"


class PipelineError(RuntimeError):
    """A saved pipeline that cannot be used: torn, changed, or made for other features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a saved pipeline says of itself.

    Attributes:
        system: System that it belongs to.
        version: Model version; empty until it is registered.
        inputs: Columns that `decode` reads.
        outputs: Output columns and their types.
        feature_sets: Ids of the feature sets it was fitted on.
        params: Training configuration.
        libraries: Versions of the libraries that the files need.
        files: SHA-256 by file name.
    """

    system: str
    version: str
    inputs: tuple[str, ...]
    outputs: dict[str, str]
    feature_sets: tuple[str, ...]
    params: dict[str, Any]
    libraries: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def seal(
    folder: Path,
    *,
    system: str,
    version: str,
    inputs: tuple[str, ...],
    outputs: Outputs,
    feature_sets: tuple[str, ...],
    params: Mapping[str, Any],
    libraries: tuple[str, ...],
) -> Manifest:
    """Write the manifest over all files of the folder, last and whole: a torn save is seen."""
    manifest = Manifest(
        system=system,
        version=version,
        inputs=inputs,
        outputs={name: str(kind) for name, kind in outputs.items()},
        feature_sets=feature_sets,
        params=dict(params),
        libraries={name: library_version(name) for name in libraries},
        files=hashes(folder),
    )
    draft = folder / f".{MANIFEST}"
    draft.write_text(json.dumps(asdict(manifest), indent=1))
    draft.replace(folder / MANIFEST)
    return manifest


def verify(folder: Path, *, system: str, feature_sets: tuple[str, ...]) -> Manifest:
    """Read the manifest and check every file that it names.

    Raises:
        PipelineError: The folder is torn or changed, or of another system or other features.
    """
    try:
        manifest = _manifest(json.loads((folder / MANIFEST).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise PipelineError(
            f"{folder}: no readable {MANIFEST}; the save was not finished"
        ) from error
    check(folder, manifest.files)
    if manifest.system != system:
        raise PipelineError(f"{folder}: a pipeline of {manifest.system!r}, not of {system!r}")
    if manifest.feature_sets != feature_sets:
        differing = sorted(set(manifest.feature_sets) ^ set(feature_sets))
        raise PipelineError(f"{folder}: fitted on other feature sets; differing: {differing}")
    return manifest


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below the folder but its manifest, by relative path."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        path.relative_to(folder).as_posix(): _sha256(path)
        for path in paths
        if path != folder / MANIFEST
    }


def check(folder: Path, files: Mapping[str, str]) -> None:
    """Refuse a folder of which a file is missing or changed.

    Raises:
        PipelineError: Names the file.
    """
    for name, digest in files.items():
        path = folder / name
        if not path.is_file():
            raise PipelineError(f"{folder}: {name} is missing")
        if _sha256(path) != digest:
            raise PipelineError(f"{folder}: {name} differs from what was saved")


def _manifest(fields: dict[str, Any]) -> Manifest:
    lists = {name: tuple(fields[name]) for name in ("inputs", "feature_sets")}
    return Manifest(**{**fields, **lists})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
