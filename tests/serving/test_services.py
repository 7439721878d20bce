"""Each service can be served by its module's name, with its tiers here or apart."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agora.settings import Settings, child_environment

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
import bentoml
service = bentoml.load("bentos.fraud.service")
print(service.name, *(each.on.name for each in service.dependencies.values()))
"""


@pytest.mark.parametrize(
    ("chosen", "names"), [("in_process", "fraud"), ("service", "fraud fraud_deep")]
)
def test_the_deep_tier_of_fraud_is_a_service_when_it_is_set_apart(
    chosen: str, names: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    settings = Settings(home=tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=pytestconfig.rootpath, capture_output=True, text=True,
        check=False, env=child_environment(settings, {"AGORA_DEEP": chosen}),
    )  # fmt: skip
    assert done.stdout.strip().splitlines()[-1:] == [names], done.stderr[-2000:]
