"""Where adjustments are kept: immutable numbered files below `<folder>/<system>`.

A pointer file, replaced whole, names the one in force.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, cast

import msgspec

from agora.adjustments import Adjusted, Adjustments, AdjustmentsError
from agora.stores.durable import draft_of, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agora.features import Entity
    from agora.pipeline import Pipeline

POINTER = "current.json"


class Pointer(msgspec.Struct, frozen=True):
    """Which adjustments are in force; None: no longer any."""

    number: int | None = None
    sha256: str = ""


def adjusted(
    pipeline: Pipeline, folder: Path, system: str, entities: Mapping[Entity, str]
) -> Pipeline:
    """The pipeline with the adjustments in force, where they are of this model.

    Args:
        pipeline: The model, never one that is adjusted already.
        folder: Folder of all adjustments.
        system: The system.
        entities: Entity to the request column that identifies it.

    Raises:
        AdjustmentsError: The adjustments in force cannot be read.
    """
    found = in_force(folder, system)
    if found is None or found.model_version != pipeline.version:
        return pipeline
    columns = {entity.name: column for entity, column in entities.items()}
    return cast("Pipeline", Adjusted(pipeline, found, columns))


def in_force(folder: Path, system: str) -> Adjustments | None:
    """The adjustments in force; None where there are none.

    Raises:
        AdjustmentsError: The file is missing, torn or changed.
    """
    pointer = read_pointer(folder, system)
    return None if pointer.number is None else read(folder, system, pointer.number)


def read(folder: Path, system: str, number: int) -> Adjustments:
    """Adjustments by number: those in force, or former ones for a trace.

    Raises:
        AdjustmentsError: The file is missing, torn or changed.
    """
    path = folder / system / f"{number}.json"
    try:
        content = path.read_bytes()
        # The digest comes first, over the rest: a torn or edited file is seen.
        digest, _, body = content.partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != digest:
            raise AdjustmentsError(f"{path}: differs from what was saved")
        return msgspec.json.decode(body, type=Adjustments)
    except (OSError, msgspec.MsgspecError) as error:
        raise AdjustmentsError(f"{path}: cannot be read ({type(error).__name__})") from error


def read_pointer(folder: Path, system: str) -> Pointer:
    """Which adjustments are in force.

    Raises:
        AdjustmentsError: The pointer file is torn.
    """
    try:
        return msgspec.json.decode(pointer_path(folder, system).read_bytes(), type=Pointer)
    except FileNotFoundError:
        return Pointer()
    except msgspec.MsgspecError as error:
        raise AdjustmentsError(f"{pointer_path(folder, system)}: cannot be read") from error


def pointer_path(folder: Path, system: str) -> Path:
    """The file that a service watches."""
    return folder / system / POINTER


def next_number(folder: Path, system: str) -> int:
    """The first number that was never used."""
    used = [int(path.stem) for path in (folder / system).glob("*.json") if path.stem.isdigit()]
    return max(used, default=0) + 1


def publish(folder: Path, adjustments: Adjustments) -> None:
    """Write the file, then point at it.

    Raises:
        FileExistsError: The number has been used.
    """
    body = msgspec.json.format(msgspec.json.encode(adjustments))
    digest = hashlib.sha256(body).hexdigest()
    path = folder / adjustments.system / f"{adjustments.number}.json"
    draft = draft_of(path, digest.encode() + b"\n" + body)
    try:
        # A link refuses a name that exists, a rename would replace it.
        os.link(draft, path)
    finally:
        draft.unlink()
    _point(folder, adjustments.system, Pointer(adjustments.number, digest))


def withdraw(folder: Path, system: str) -> None:
    """Put no adjustments in force; the files stay for traces."""
    _point(folder, system, Pointer())


def _point(folder: Path, system: str, pointer: Pointer) -> None:
    write_whole(pointer_path(folder, system), msgspec.json.encode(pointer))
