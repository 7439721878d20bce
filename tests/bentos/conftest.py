"""Fitted once for all services of the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.bentos.services import Service, fit_versions, serving_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return fit_versions(tmp_path_factory.mktemp("models"), "1", "2", "3")


@pytest.fixture(scope="session")
def guarded(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that no test kills."""
    with serving_model(tmp_path_factory.mktemp("guarded"), models["1"]) as running:
        yield running
