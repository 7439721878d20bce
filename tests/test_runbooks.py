"""The runbooks' commands do what they say, in their order, against real small homes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from agora.registry import SYSTEMS
from agora.settings import Settings
from agora.stores import deployments, indexes
from agora.stores.decisions import read
from agora.stores.lake import Lake
from agora.stores.models import ModelRegistry
from agora.stores.valkey import stop_online
from tests.bentos.item_services import ItemService, listening
from tests.runbook_home import DAY, ROOT, home_of, ran, request_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora.system import System

RUNBOOKS = sorted(path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md"))
TABLES = 'group:"raw"'
# Whose commands need what is built: tables, and what is published or made of them.
BUILT = (TABLES, "/features", "/index", "/lists", "ingest files", "agora index")


@dataclass(frozen=True)
class Home:
    """A system's instance and the service that runs on it."""

    system: System
    settings: Settings
    service: ItemService

    def answer(self) -> dict[str, Any]:
        """What a caller gets now."""
        status, answer = self.service.ask("POST", self.system.path, request_of(self.system))
        assert status == 200, answer
        return answer


def blocks_of(name: str) -> list[str]:
    """The commands of a runbook, in its order."""
    text = (ROOT / "docs" / "runbooks" / f"{name}.md").read_text()
    return re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def builds(block: str) -> bool:
    """Whether a block needs the tables of the warehouse."""
    return any(words in block for words in BUILT)


@pytest.fixture(scope="module", params=RUNBOOKS)
def home(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Home]:
    system = SYSTEMS[request.param]
    settings = home_of(system, tmp_path_factory.mktemp(system.name))
    model = ModelRegistry(settings).folder(system, "1")
    with listening(ItemService, system, settings, model) as service:
        yield Home(system, settings, service)
    stop_online(settings)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_models_are_deployed_and_rolled_back_as_the_runbook_says(home: Home) -> None:
    name = home.system.name
    assert home.answer()["model_version"] == "1"
    said = ran([block for block in blocks_of(name) if not builds(block)], home.settings)
    decided = read(Lake(home.settings.lake), name).select("action", "version", "by").rows()
    assert [row[:2] for row in decided] == [("promoted", "2"), ("rolled_back", "1")]
    assert decided[0][2] == "gate"
    assert decided[1][2].startswith("person:")
    pointer = deployments.read(home.settings.deployments, name)
    assert (pointer.current.version, pointer.previous.version) == ("1", "2")
    assert ModelRegistry(home.settings).alias(home.system) == "1"
    assert home.answer()["model_version"] == "1"
    assert Lake(home.settings.lake).read(f"predictions/{name}").height >= 30
    assert "USD a prediction" in said["cost"]
    assert datetime.now(UTC).strftime("%Y-%m-%d") in said["history"]
    if "withdraw" in said:
        assert "no adjustments are in force" in said["withdraw"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_days_are_built_and_published_as_the_runbook_says(home: Home, tmp_path: Path) -> None:
    landed = sorted((Path(home.settings.landing) / "payments" / f"dt={DAY}").iterdir())[0]
    repaired = tmp_path / f"repaired{''.join(landed.suffixes)}"
    repaired.write_bytes(landed.read_bytes())
    landed.unlink()
    # Everything is built once before a part of it is repaired and published.
    blocks = [block for block in blocks_of(home.system.name) if builds(block)]
    blocks.sort(key=lambda block: TABLES not in block or "raw/" in block)
    ran(blocks, home.settings, REPAIRED=str(repaired))
    lake, name = Lake(home.settings.lake), home.system.name
    if any("ingest" in block for block in blocks):
        assert lake.read("raw/payments").filter(pl.col("arrival_date") == DAY).height > 0
    if home.system.items:
        number = indexes.current(home.settings.indexes, name)
        assert number is not None
        assert lake.read(f"{name}/predictions").height > 0
        assert home.answer()["model_version"] == f"1+i{number}"
    assert not home.answer()["degraded"]


@pytest.mark.parametrize("name", RUNBOOKS)
def test_every_command_of_a_runbook_is_agoras(name: str) -> None:
    from typer.testing import CliRunner

    from agora.cli import app

    lines = [line for block in blocks_of(name) for line in block.splitlines() if line]
    assert len(lines) >= 5
    for line in lines:
        words = line.split()
        assert words[0] == "agora"
        path = words[1:3] if words[1] in {"keys", "ingest"} else words[1:2]
        assert CliRunner().invoke(app, [*path, "--help"]).exit_code == 0, line


@pytest.mark.xdist_group("dagster")
@pytest.mark.parametrize("name", RUNBOOKS)
def test_what_a_runbook_builds_is_its_own_or_everybodys(name: str, tmp_path: Path) -> None:
    """No page trains, or publishes, another system."""
    from assets.run import selected
    from definitions import definitions_for

    settings = Settings(home=tmp_path, environment="test")
    graph = definitions_for(settings).get_repository_def().asset_graph
    shared = {"raw", "quarantine", "staging", "marts", "features"}
    selections = re.findall(r"--select '(.*)'", "".join(blocks_of(name)))
    assert selections
    for select in selections:
        groups = {graph.get(key).group_name for key in selected(select).resolve(graph)}
        assert groups, select
        assert groups <= shared | {name}, select
        assert len(groups & {name}) in {0, len(groups)}, "tables and a system are built apart"
