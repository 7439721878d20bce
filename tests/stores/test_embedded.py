"""The embedded Valkey: one server per home, whoever starts it, and none left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from agora.settings import Settings
from agora.stores import embedded
from agora.stores.valkey import open_online, stop_online
from tests.stores.online_rows import until_written

if TYPE_CHECKING:
    from collections.abc import Iterator

START = """
import sys
from pathlib import Path
from agora.stores import embedded
embedded.start(Path(sys.argv[1]))
"""


@pytest.fixture(params=["short", "long" * 40])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder with a path that a socket can have, and one that is too long."""
    folder = tmp_path / request.param
    yield folder
    embedded.stop(folder)
    assert not embedded._alive(folder)


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url)


def _process(folder: Path) -> int:
    return int((folder / "pid").read_text())


def _gone(process: int) -> bool:
    for _ in range(3_000):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        # A container without an init keeps the dead until somebody asks for them.
        stat = Path(f"/proc/{process}/stat")
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False


def test_what_was_written_survives_a_restart(folder: Path) -> None:
    client = _client(embedded.start(folder))
    client.set("key", "value")
    embedded.stop(folder)
    assert _client(embedded.start(folder)).get("key") == b"value"


def test_starting_twice_finds_the_same_server(folder: Path) -> None:
    url = embedded.start(folder)
    process = _process(folder)
    assert embedded.start(folder) == url
    assert _process(folder) == process


def test_racing_starters_share_one_server_that_outlives_them(tmp_path: Path) -> None:
    folder = tmp_path / "online"
    command = [sys.executable, "-c", START, str(folder)]
    starters = [subprocess.Popen(command) for _ in range(3)]
    assert [starter.wait(180) for starter in starters] == [0, 0, 0]
    log = (folder / "valkey.log").read_text()
    assert log.count("Ready to accept connections") == 1
    assert _client(embedded.start(folder)).ping()
    embedded.stop(folder)


def test_a_killed_server_is_replaced(folder: Path) -> None:
    url = embedded.start(folder)
    client = _client(url)
    client.set("key", "value")
    until_written(client)
    process = _process(folder)
    os.kill(process, signal.SIGKILL)
    assert _gone(process)
    assert _client(embedded.start(folder)).get("key") == b"value"


def test_that_nobody_listens_is_known_without_a_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("redis.retry.sleep", pauses.append)
    assert not embedded._answers(str(tmp_path / "nobody.sock"))
    assert pauses == []


def test_a_server_whose_socket_was_swept_away_is_replaced(folder: Path) -> None:
    url = embedded.start(folder)
    _client(url).set("key", "value")
    process = _process(folder)
    Path(url.removeprefix("unix://")).unlink()
    assert _client(embedded.start(folder)).get("key") == b"value"
    assert _gone(process)


def test_stopping_is_harmless_where_nothing_runs(tmp_path: Path) -> None:
    embedded.stop(tmp_path / "never")
    embedded.start(tmp_path / "online")
    process = _process(tmp_path / "online")
    embedded.stop(tmp_path / "online")
    embedded.stop(tmp_path / "online")
    assert _gone(process)
    assert not (tmp_path / "online" / "address").exists()


def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    folder = tmp_path / "online"
    (folder / "appendonlydir").mkdir(parents=True)
    manifest = folder / "appendonlydir" / "appendonly.aof.manifest"
    manifest.write_text("this is no manifest\n")
    with pytest.raises(ConnectionError, match="did not start"):
        embedded.start(folder)


def test_settings_open_and_stop_the_embedded_store(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    store = open_online(settings)
    assert store.ping()
    stop_online(settings)
    assert not store.ping()
    store.close()
