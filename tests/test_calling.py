"""The page for app developers says what the services do."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agora.registry import SYSTEMS
from tests.bentos import recommending, searching

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

    from tests.bentos.item_services import ItemService

PAGE = (Path(__file__).parents[1] / "docs" / "calling.md").read_text()
CALLS = re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def fields_of(model: type[BaseModel]) -> Iterator[str]:
    """Names of the fields of a model and of all that it holds."""
    schema = model.model_json_schema()
    for each in (schema, *schema.get("$defs", {}).values()):
        yield from each.get("properties", {})


@pytest.mark.parametrize("name", ["recommendation", "search"])
def test_the_page_names_every_field_and_every_page(name: str) -> None:
    system = SYSTEMS[name]
    assert system.report is not None
    models = [system.request, system.response, system.report]
    models += [model for page in system.pages for model in (page.params, page.response)]
    told = set(re.findall(r"[a-z_]+", PAGE))
    for model in models:
        assert set(fields_of(model)) <= told, model
    for path in (system.path, *(page.path for page in system.pages)):
        assert path in PAGE


@pytest.mark.slow
def test_the_calls_of_the_page_are_answered(tmp_path: Path) -> None:
    homes = {name: tmp_path / name for name in ("search", "recommendation")}
    for home in homes.values():
        home.mkdir()
    with (
        searching.serving(homes["search"]) as search,
        recommending.serving(homes["recommendation"]) as recommend,
    ):
        for call in CALLS:
            service = search if "$SEARCH" in call else recommend
            answer = answered(call, service)
            # The page shows one mistake; nobody has a list of the night here.
            wrong = '"filter"' in call or "/precomputed" in call
            assert ("error" in answer) == wrong, (call, answer)


def answered(call: str, service: ItemService) -> dict[str, Any]:
    """What a block's commands printed at last."""
    here = f"http://127.0.0.1:{service.port}"
    known = {"KEY": service.tokens["app"], "SEARCH": here, "RECOMMEND": here}
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", call], env={"PATH": os.environ["PATH"], **known},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))
