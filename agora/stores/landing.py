"""The landing folders: which days and files producers have dropped, and their rows.

`<landing>/<table>/dt=YYYY-MM-DD/*`, on disk or on s3://. Producers write under a hidden or
`.tmp` name, then rename.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from pyarrow import fs

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl

DAY = re.compile(r"^dt=(\d{4}-\d\d-\d\d)$")


@dataclass(frozen=True, slots=True)
class LandedFile:
    """One file that a producer dropped.

    Attributes:
        path: Relative to the landing root; the `source_file` of its rows.
        size: Bytes.
        changed: When it was last written, in nanoseconds since the epoch.
    """

    path: str
    size: int
    changed: int


@dataclass(frozen=True, slots=True)
class Landing:
    """The landing root on its file system."""

    filesystem: fs.FileSystem
    root: str

    @classmethod
    def at(cls, location: str) -> Landing:
        """The landing at a folder or an s3:// URL (`?endpoint_override=` is passed on)."""
        if "://" in location:
            filesystem, root = fs.FileSystem.from_uri(location)
            return cls(filesystem, root.rstrip("/"))
        return cls(fs.LocalFileSystem(), Path(location).expanduser().resolve().as_posix())

    def tables(self) -> list[str]:
        """Folders below the root, sorted."""
        return sorted(
            info.base_name for info in self._list("") if info.type == fs.FileType.Directory
        )

    def days(self, table: str) -> list[date]:
        """Arrival days that have a folder with a readable name, sorted."""
        found = []
        for info in self._list(table):
            match = DAY.match(info.base_name)
            if match and info.type == fs.FileType.Directory:
                found.append(date.fromisoformat(match[1]))
        return sorted(found)

    def files(self, table: str, day: date) -> list[LandedFile]:
        """Files of a day, sorted by name; hidden and unfinished ones are left out."""
        found = [
            LandedFile(info.path.removeprefix(self.root + "/"), info.size, info.mtime_ns or 0)
            for info in self._list(f"{table}/dt={day}", recursive=True)
            if info.type == fs.FileType.File
        ]
        below = len(f"{table}/dt={day}/")
        return sorted(
            (file for file in found if _is_finished(file.path[below:])), key=lambda file: file.path
        )

    def open(self, file: LandedFile) -> fs.NativeFile:
        """The file, for random access."""
        return self.filesystem.open_input_file(f"{self.root}/{file.path}")

    def _list(self, below: str, *, recursive: bool = False) -> list[fs.FileInfo]:
        folder = f"{self.root}/{below}" if below else self.root
        return list(
            self.filesystem.get_file_info(
                fs.FileSelector(folder, recursive=recursive, allow_not_found=True)
            )
        )


def drop(landing: Path, table: str, day: date, name: str, rows: pl.DataFrame | str) -> bool:
    """Land one file; a file of that name that is there already stays as it is.

    Args:
        landing: Root of the landing folders.
        table: Name of the contract.
        day: Arrival day.
        name: File name; to be made from the content, so that equal content lands once.
        rows: The rows, landed as Parquet, or a text, landed as it is.

    Returns:
        Whether the file is new.
    """
    target = landing / table / f"dt={day}" / name
    if target.exists():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{name}.{os.getpid()}.tmp")
    if isinstance(rows, str):
        unfinished.write_text(rows, encoding="utf-8")
    else:
        rows.write_parquet(unfinished)
    unfinished.replace(target)
    return True


def landing_signatures(landing: str) -> dict[str, dict[str, str]]:
    """Table -> day -> a short text that changes when a file of that day is new, changed or gone."""
    place = Landing.at(landing)
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for table in place.tables():
        for day in place.days(table):
            files = place.files(table, day)
            if files:
                found[table][day.isoformat()] = signature(files)
    return dict(found)


def signature(files: Iterable[LandedFile]) -> str:
    """A short text that stands for the names, sizes and times of the files."""
    listed = "\n".join(f"{file.path}\t{file.size}\t{file.changed}" for file in files)
    return hashlib.sha256(listed.encode()).hexdigest()[:16]


def _is_finished(path: str) -> bool:
    parts = path.split("/")
    return not (
        parts[-1].lower().endswith(".tmp") or any(part.startswith((".", "_")) for part in parts)
    )
