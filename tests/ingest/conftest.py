from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agora.stores.lake import Lake
from tests.ingest.place import Place

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "landing", Lake(str(tmp_path / "lake")))
