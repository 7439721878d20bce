"""The same build when the lake is on object storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agora.settings import Settings
from agora.stores.lake import Lake
from agora.warehouse import build
from tests.dbt.histories import END, FIRST_DAY, random_history
from tests.stores.test_lake import object_storage

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["object_storage"]


@pytest.mark.slow
def test_dbt_builds_a_lake_on_object_storage(
    tmp_path: Path,
    object_storage: dict[str, str],
) -> None:
    settings = Settings(home=tmp_path, lake_url="s3://bucket/dbt", lake_options=object_storage)
    lake = Lake(settings.lake, settings.lake_options)
    # A few files: each is a request, and the server is a small Python program.
    for name, frame in random_history(3, payments=40).items():
        lake.write(f"raw/{name}", frame)
    build(settings, FIRST_DAY, END, select="payments payment_labels ftr_cards__daily")
    assert lake.read("marts/payments").height >= 40
    assert not lake.read("features/ftr_cards__daily").is_empty()
    assert not (tmp_path / "lake").exists()
