from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agora.scaffold import ScaffoldError, scaffold

ROOT = Path(__file__).parents[1]
IGNORED = shutil.ignore_patterns(
    ".venv", ".git", ".agora", "__pycache__", "target", "logs", "results"
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("project") / "agora"
    shutil.copytree(ROOT, copy, ignore=IGNORED)
    return copy


def everything(folder: Path) -> set[Path]:
    caches = {"__pycache__", ".pytest_cache", ".hypothesis"}
    return {
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file() and not caches & set(path.parts)
    }


def test_a_new_system_keeps_the_contract_and_is_undone_by_deleting_what_it_made(
    project: Path,
) -> None:
    before = everything(project)
    created = scaffold("churn", project)
    tests = ["tests/systems/test_every_system.py", "tests/systems/test_churn.py", "-k", "churn"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=project,
        env={"PATH": str(Path(sys.executable).parent), "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert everything(project) - before == set(created)
    for path in created:
        (project / path).unlink()
    assert everything(project) == before


@pytest.mark.parametrize("name", ["", "a", "Churn", "two words", "churn-2", "class", "../x"])
def test_a_name_that_does_not_do_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    with pytest.raises(ScaffoldError, match="NAME="):
        scaffold(name, tmp_path)
    assert not everything(tmp_path)


def test_nothing_is_overwritten(project: Path) -> None:
    before = everything(project)
    with pytest.raises(ScaffoldError, match="exists already"):
        scaffold("fraud", project)
    assert everything(project) == before
