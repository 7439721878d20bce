"""Fitted once for all services of the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agora.settings import Settings
from agora.stores.valkey import stop_online
from tests.bentos.services import Service, fit_versions, point, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return fit_versions(tmp_path_factory.mktemp("models"), "1", "2", "3")


@pytest.fixture(scope="session")
def guarded(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that no test kills."""
    settings = Settings(home=tmp_path_factory.mktemp("guarded"))
    point(settings, models["1"])
    with serving(settings, settings.home / "service.log") as running:
        yield running
    stop_online(settings)
