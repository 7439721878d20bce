"""The compiled models, once for all tests of the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agora.settings import Settings
from agora.streams.models import load_models
from agora.streams.topics import INTERACTION_EVENTS, PAYMENT_EVENTS

if TYPE_CHECKING:
    from pathlib import Path

    from agora.streams.models import Model


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which dbt has compiled the models."""
    home = tmp_path_factory.mktemp("compiled")
    load_models(Settings(home=home), PAYMENT_EVENTS)
    return home


@pytest.fixture(scope="session")
def models(compiled: Path) -> list[Model]:
    return load_models(Settings(home=compiled), PAYMENT_EVENTS)


@pytest.fixture(scope="session")
def interests(compiled: Path) -> list[Model]:
    return load_models(Settings(home=compiled), INTERACTION_EVENTS)
