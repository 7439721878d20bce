from __future__ import annotations

import pytest

from agora.settings import Settings
from tests.assets.marketplace import Marketplace, opened


@pytest.fixture(scope="session")
def empty_marketplace(tmp_path_factory: pytest.TempPathFactory) -> Marketplace:
    """Landed files, and nothing made of them."""
    return opened(Settings(home=tmp_path_factory.mktemp("landed"), environment="test"))


@pytest.fixture(scope="session")
def marketplace(tmp_path_factory: pytest.TempPathFactory) -> Marketplace:
    """Built once, from landing files to online features; tests that change it put it back."""
    from agora.stores.valkey import stop_online

    made = opened(Settings(home=tmp_path_factory.mktemp("marketplace"), environment="test"))
    result = made.run('not key:"*/training_set"+')
    assert result.success
    yield made
    stop_online(made.settings)
