from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agora.scaffold import KINDS, RESERVED, ScaffoldError, scaffold, what_next

ROOT = Path(__file__).parents[1]
# What dbt's project says, once read, is copied: to read it anew takes a minute.
IGNORED = shutil.ignore_patterns(".venv", ".git", ".agora", "__pycache__", "logs", "results")
NEW = {"churn": "decision", "bundles": "list"}
# Lines must stay short, and whole, with the shortest names and the longest.
NAMES = ("abc", "churn", "b" * 20)
CONTRACT = (
    "tests/systems/test_every_record.py",
    "tests/systems/test_every_dataset.py",
    "tests/systems/test_every_system.py",
    "tests/systems/test_every_items_system.py",
    "tests/test_definitions.py::test_every_system_has_the_whole_life_of_a_model",
    "tests/test_definitions.py::test_every_asset_says_whose_it_is_and_what_a_row_is",
    "tests/test_alerts.py::test_every_alert_has_a_page_that_says_what_to_do",
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("project") / "agora"
    shutil.copytree(ROOT, copy, ignore=IGNORED)
    return copy


def everything(folder: Path) -> set[Path]:
    caches = {"__pycache__", ".pytest_cache", ".hypothesis", ".ruff_cache"}
    return {
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file() and not caches & set(path.parts)
    }


def ran(project: Path, *arguments: str) -> str:
    """What a module says in the project; one that fails fails the test."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=project,
        env={"PATH": str(Path(sys.executable).parent), "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_new_systems_keep_the_contract_and_are_undone_by_deleting_what_was_made(
    project: Path,
) -> None:
    before = everything(project)
    created = [path for name, kind in NEW.items() for path in scaffold(name, project, kind)]
    assert everything(project) - before == set(created)
    chosen = f"{' or '.join(NEW)} or every_system_has or every_asset"
    own = [f"tests/systems/test_{name}.py" for name in NEW]
    try:
        said = ran(project, "pytest", "-q", "-p", "no:cacheprovider", *CONTRACT, *own, "-k", chosen)
        assert "skipped" not in said
    finally:
        for path in created:
            (project / path).unlink()
    assert everything(project) == before


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), NEW.items())
def test_the_service_of_a_new_system_answers(name: str, kind: str, project: Path) -> None:
    created = scaffold(name, project, kind)
    try:
        ran(project, "pytest", "-q", "-p", "no:cacheprovider", f"tests/bentos/test_{name}.py")
    finally:
        for path in created:
            (project / path).unlink()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_system_is_written_as_the_linter_wants_it(
    kind: str, name: str, project: Path
) -> None:
    created = scaffold(name, project, kind)
    code = [str(path) for path in created if path.suffix == ".py"]
    try:
        ran(project, "ruff", "check", *code)
        ran(project, "ruff", "format", "--check", *code)
    finally:
        for path in created:
            (project / path).unlink()


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_system_has_code_assets_service_tests_and_docs(kind: str, tmp_path: Path) -> None:
    created = {str(path) for path in scaffold("bundles", tmp_path, kind)}
    assert {
        "agora/systems/bundles/__init__.py", "agora/systems/bundles/budgets.yml",
        "assets/bundles.py", "bentos/bundles/service.py", "docs/design/bundles.md",
        "docs/runbooks/bundles.md", "tests/bentos/test_bundles.py", "tests/systems/test_bundles.py",
    } <= created  # fmt: skip
    for path in created:
        assert "__system__" not in (tmp_path / path).read_text().lower()


@pytest.mark.parametrize("kind", KINDS)
def test_what_to_do_next_names_files_that_were_made(kind: str, tmp_path: Path) -> None:
    created = {str(path) for path in scaffold("bundles", tmp_path, kind)}
    edits = [step for step in what_next("bundles", kind) if step.startswith("edit ")]
    named = {word.rstrip(":,") for step in edits for word in step.split() if "/" in word}
    assert named
    assert named <= created


@pytest.mark.parametrize("name", ["", "a", "Churn", "two words", "churn-2", "class", "../x"])
def test_a_name_that_does_not_do_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    with pytest.raises(ScaffoldError, match="NAME="):
        scaffold(name, tmp_path)
    assert not everything(tmp_path)


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_name_of_the_platform_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ScaffoldError, match="taken by the platform"):
        scaffold(name, tmp_path, "list")
    assert not everything(tmp_path)


def test_a_kind_that_there_is_not_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ScaffoldError, match="KIND='table': choose one of decision, list"):
        scaffold("churn", tmp_path, "table")
    assert not everything(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_overwritten(kind: str, project: Path) -> None:
    before = everything(project)
    with pytest.raises(ScaffoldError, match="exists already"):
        scaffold("search", project, kind)
    assert everything(project) == before
