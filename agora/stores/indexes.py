"""Indexes of items: numbered, sealed folders below `<folder>/<system>`, and a pointer to one.

A new index is written aside, held against its gate, and only then given a number and pointed at;
the pointer is replaced whole, so a service sees the index before or after a switch. One that is
torn, missing or of another model is not taken: the newest that can be read serves, or the model's
own. Former ones are kept for a week, so that what they answered can be replayed.
"""

from __future__ import annotations

import fcntl
import re
import shutil
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from agora.adjustments import parted
from agora.seals import check, hashes
from agora.stores.durable import write_whole
from agora.stores.index_records import (
    Attached,
    IndexGoneError,
    IndexManifest,
    MadeOf,
    Pointer,
    Published,
    UnusableIndexError,
)
from agora.stores.retention import Kept, Retention

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from agora.pipeline import ItemPipeline
    from agora.settings import Settings
    from agora.system import System

__all__ = [
    "Attached", "IndexGoneError", "IndexManifest", "MadeOf", "Pointer", "Published",
    "UnusableIndexError", "attach", "current", "indexed", "load", "manifest_of", "model_of",
    "numbers", "place_of", "pointer_path", "publish_index",
]  # fmt: skip

MANIFEST = "manifest.json"
POINTER = "current.json"
VERSION = re.compile(r"(?P<model>.+)\+i(?P<number>\d+)")
RETENTION = Retention()
# A catalogue that lost more since yesterday was not read whole.
MOST_LOST = 0.2


def indexed(version: str) -> tuple[str, int | None]:
    """A served version's model and number of index: `3+i5` is model 3 with index 5."""
    found = VERSION.fullmatch(version)
    return (found["model"], int(found["number"])) if found else (version, None)


def model_of(version: str) -> str:
    """The model of a served version, without its adjustments and its index."""
    return indexed(parted(version)[0])[0]


def place_of(folder: Path, system: str, number: int) -> Path:
    """Folder of an index."""
    return folder / system / str(number)


def pointer_path(folder: Path, system: str) -> Path:
    """The file that a service watches."""
    return folder / system / POINTER


def numbers(folder: Path, system: str) -> list[int]:
    """Numbers of the indexes that are kept, newest first."""
    names = (path.name for path in (folder / system).glob("*") if path.is_dir())
    return sorted((int(name) for name in names if name.isdigit()), reverse=True)


def current(folder: Path, system: str) -> int | None:
    """Number of the index that is pointed at; None: the model's own.

    Raises:
        UnusableIndexError: The pointer is torn.
    """
    try:
        return msgspec.json.decode(pointer_path(folder, system).read_bytes(), type=Pointer).number
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise UnusableIndexError(f"{pointer_path(folder, system)}: cannot be read") from error


def manifest_of(folder: Path, system: str, number: int) -> IndexManifest:
    """What an index says of itself; its files are not looked at.

    Raises:
        UnusableIndexError: Its manifest is torn.
        IndexGoneError: There is no such index.
    """
    path = place_of(folder, system, number) / MANIFEST
    if not path.parent.is_dir():
        raise IndexGoneError(f"index {number}: is not there")
    try:
        return msgspec.json.decode(path.read_bytes(), type=IndexManifest)
    except (OSError, msgspec.MsgspecError) as error:
        reason = type(error).__name__
        raise UnusableIndexError(f"index {number}: cannot be read ({reason})") from error


def load(pipeline: ItemPipeline, folder: Path, system: str, number: int) -> ItemPipeline:
    """The pipeline over an index, after checking every file; its version names the index.

    Args:
        pipeline: The model, over any index.
        folder: Folder of all indexes.
        system: The system.
        number: Which.

    Raises:
        UnusableIndexError: It is missing, torn, or of another model.
    """
    found, model = manifest_of(folder, system, number), model_of(pipeline.version)
    if found.model_version != model:
        raise UnusableIndexError(f"index {number}: of model {found.model_version}, not of {model}")
    place = place_of(folder, system, number)
    try:
        check(place, found.files)
        loaded = pipeline.load_index(place)
    except UnusableIndexError:
        raise
    except Exception as error:
        # Files of libraries fail in ways of their own.
        raise UnusableIndexError(f"index {number}: {error}") from error
    loaded.version = f"{model}+i{number}"
    return loaded


def attach(pipeline: ItemPipeline, folder: Path, system: str) -> Attached:
    """The pipeline over the index that is pointed at, or over the best there is.

    That is the newest one of the same model that can be read, then the model's own.
    """
    problem, pointed = "", None
    try:
        pointed = current(folder, system)
        if pointed is None:
            return Attached(pipeline)
        return Attached(load(pipeline, folder, system, pointed))
    except UnusableIndexError as error:
        problem = str(error)
    model = model_of(pipeline.version)
    for number in numbers(folder, system):
        if number == pointed:
            continue
        try:
            if manifest_of(folder, system, number).model_version == model:
                return Attached(load(pipeline, folder, system, number), problem)
        except UnusableIndexError:
            continue
    return Attached(pipeline, problem)


def publish_index(
    system: System,
    pipeline: ItemPipeline,
    settings: Settings,
    gate: Callable[[ItemPipeline | None, ItemPipeline], Sequence[str]],
    *,
    most_lost: float = MOST_LOST,
    made_of: MadeOf | None = None,
    retention: Retention = RETENTION,
) -> Published:
    """Write the index of a pipeline, hold it against its gate, and only then let it serve.

    What serves meanwhile goes on, and goes on serving when the new index is refused.

    Args:
        system: Whose.
        pipeline: The model over its new index.
        settings: The instance.
        gate: Reasons against the new index, from the pipeline over the index that serves (None:
            there is none of this model) and over the new one as it was written and read again.
        most_lost: Share of the items that may be gone since the index that serves.
        made_of: What its items are.
        retention: Which of the former ones are kept.
    """
    folder, name = settings.indexes, system.name
    with _alone(folder / name):
        draft = folder / name / ".draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        pipeline.save_index(draft)
        new, number = pipeline.load_index(draft), 1 + max(numbers(folder, name), default=0)
        items = len(new.item_ids)
        reasons = (*_losses(folder, name, items, most_lost),)
        reasons = reasons or tuple(gate(_serving(pipeline, folder, name), new))
        if reasons:
            shutil.rmtree(draft)
            return Published(None, items, reasons)
        manifest = IndexManifest(
            system=name,
            number=number,
            model_version=model_of(pipeline.version),
            items=items,
            made_at=datetime.now(UTC),
            files=hashes(draft),
            made_of=made_of,
        )
        write_whole(draft / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        draft.rename(place_of(folder, name, number))
        write_whole(pointer_path(folder, name), msgspec.json.encode(Pointer(number)))
        for old in retention.outlived(list(_kept(folder, name)), datetime.now(UTC)):
            shutil.rmtree(place_of(folder, name, old))
        return Published(number, items)


def _losses(folder: Path, system: str, items: int, most_lost: float) -> Iterator[str]:
    if not items:
        yield "the new index is empty"
        return
    try:
        pointed = current(folder, system)
        before = manifest_of(folder, system, pointed).items if pointed else 0
    except UnusableIndexError:
        # Nothing to compare with: the new one mends it.
        return
    if items < (1 - most_lost) * before:
        yield f"the new index has {items:,} items, the one that serves {before:,}"


def _kept(folder: Path, system: str) -> Iterator[Kept]:
    for number in numbers(folder, system):
        try:
            made_at = manifest_of(folder, system, number).made_at
        except UnusableIndexError:
            # It answers nothing and replays nothing.
            made_at = datetime.min.replace(tzinfo=UTC)
        paths = place_of(folder, system, number).rglob("*")
        yield Kept(number, made_at, sum(path.stat().st_size for path in paths if path.is_file()))


def _serving(pipeline: ItemPipeline, folder: Path, system: str) -> ItemPipeline | None:
    try:
        pointed = current(folder, system)
        return load(pipeline, folder, system, pointed) if pointed else None
    except UnusableIndexError:
        return None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One new index of a system at a time; another waits for it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield
