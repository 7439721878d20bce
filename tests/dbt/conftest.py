"""One lake that dbt itself built, and the compiled SQL for everything that needs many runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agora.settings import Settings
from tests.dbt.compiled import compile_models

if TYPE_CHECKING:
    from pathlib import Path


def settings_in(home: Path) -> Settings:
    """Settings of an instance below a temporary folder."""
    return Settings(home=home, environment="test")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The compiled models, in dependency order."""
    return compile_models(settings_in(tmp_path_factory.mktemp("compiled")))
