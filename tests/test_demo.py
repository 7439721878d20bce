from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

import agora.demo
import agora.demo.summary
from agora.demo import Demo, DemoError, run
from agora.settings import Settings


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two steps that write down when they run; the second fails while a file is absent."""
    made: list[str] = []

    def first(demo: Demo) -> dict[str, int]:
        made.append("first")
        return {"days": demo.days}

    def second(demo: Demo) -> dict[str, int]:
        made.append("second")
        if not (demo.settings.home / "mended").exists():
            raise DemoError("second failed")
        return {}

    steps = (("first", "First", first), ("second", "Second", second))
    monkeypatch.setattr(agora.demo, "STEPS", steps)
    monkeypatch.setattr(agora.demo.summary, "summary", lambda *_: Text("the table"))
    return made


def go(home: Path, fresh: bool = False, days: int = 90, only_fraud: bool = False) -> str:
    console, here = Console(file=io.StringIO()), Settings(home=home)
    run(here, console, project=Path(), days=days, fresh=fresh, only_fraud=only_fraud)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_demo_goes_on_where_it_stopped_and_then_keeps_what_is_done(
    tmp_path: Path, calls: list[str]
) -> None:
    with pytest.raises(DemoError, match="second failed"):
        go(tmp_path)
    (tmp_path / "mended").touch()
    assert "the table" in go(tmp_path)
    assert calls == ["first", "second", "second"]
    assert "done before, kept" in go(tmp_path)
    assert calls == ["first", "second", "second"]


def test_fresh_another_length_or_other_systems_repeat_every_step(
    tmp_path: Path, calls: list[str]
) -> None:
    (tmp_path / "mended").touch()
    go(tmp_path)
    go(tmp_path, fresh=True)
    go(tmp_path, days=100)
    go(tmp_path, days=100, only_fraud=True)
    assert calls == ["first", "second"] * 4


def test_an_interrupted_step_is_not_done(tmp_path: Path) -> None:
    """The child swallows the interrupt and ends well, as a run that stops in order may."""
    (tmp_path / "swallows.py").write_text(
        "import signal, time\n"
        "signal.signal(signal.SIGINT, lambda *_: None)\n"
        "open('started', 'w').close()\n"
        "time.sleep(2)\n"
    )
    caller = (
        # A test runner in the background may have been told to ignore interrupts.
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path\n"
        "from agora.processes import run_module\n"
        "from agora.settings import settings\n"
        "run_module('swallows', [], settings(), Path())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", caller],
        cwd=tmp_path,
        start_new_session=True,
        stderr=subprocess.PIPE,
    )
    while not (tmp_path / "started").exists():
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=120)[1]
    assert b"KeyboardInterrupt" in said
    assert process.returncode != 0
