from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from agora.cli import app
from agora.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("AGORA_HOME", str(tmp_path))
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give --recommend URL"),
        (("--recommend", "http://127.0.0.1:9"), "run `agora simulate` first"),
        (("--search", "here", "--rate", "0"), "rate"),
    ],
)
def test_traffic_says_what_it_lacks(home: Path, arguments: tuple[str, ...], said: str):
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["simulate", "traffic", *arguments])
    assert result.exit_code != 0
    assert said in result.output
    assert "Traceback" not in result.output


def test_traffic_to_a_service_that_is_not_there_is_told(home: Path):
    run = CliRunner(env={"COLUMNS": "200"})
    sizes = ("--start", "2026-01-05", "--days", "2", "--payments-per-day", "20")
    done = run.invoke(app, ["simulate", *sizes, "--sessions-per-day", "10"])
    assert done.exit_code == 0, done.output
    assert list((home / "landing" / "impressions").iterdir())
    result = run.invoke(app, ["simulate", "traffic", "--search", "http://127.0.0.1:9"])
    assert result.exit_code == 1
    assert "127.0.0.1:9 cannot be reached" in result.output
    wrong = run.invoke(app, ["simulate", "traffic", "--search", "localhost:9"])
    assert "write it as http://localhost:3000" in wrong.output
