"""What an instance needs to work, examined piece by piece."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agora.settings import Settings

PACKAGES = ("dagster", "dbt-duckdb", "deltalake", "lightgbm", "torch", "bentoml", "mlflow")
FREE_GIGABYTES = 2.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was examined."""

    what: str
    ok: bool
    detail: str


def examine(settings: Settings) -> list[Finding]:
    """Examine Python, packages, disk, lake, online store and model repository, in this order."""
    return [
        _python(),
        *(_package(name) for name in PACKAGES),
        _disk(settings),
        _lake(settings),
        _online(settings),
    ]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", sys.version_info >= (3, 11), f"{version} (3.11 or newer is needed)")


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(name, False, "not installed: run `make setup`")


def _disk(settings: Settings) -> Finding:
    folder = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    free = shutil.disk_usage(folder).free / 1e9
    return Finding("disk", free > FREE_GIGABYTES, f"{free:.1f} GB free at {settings.home}")


def _lake(settings: Settings) -> Finding:
    from agora.stores.lake import Lake

    tables = Lake(settings.lake, settings.lake_options).tables()
    return Finding("lake", bool(tables), f"{len(tables)} tables at {settings.lake}" + _hint(tables))


def _online(settings: Settings) -> Finding:
    from agora.stores.valkey import open_online

    try:
        store = open_online(settings)
    except OSError as error:
        return Finding("online store", False, str(error))
    try:
        answers = store.ping()
    finally:
        store.close()
    where = settings.online_url or "embedded Valkey"
    return Finding("online store", answers, where if answers else f"{where} does not answer")


def _hint(tables: list[str]) -> str:
    return "" if tables else ": run `make demo`, or `agora ingest` and `agora materialize`"
