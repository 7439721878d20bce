"""A service follows its pointer, and keeps what it serves when a new version fails."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agora.serving.live import Live
from agora.settings import Settings
from agora.stores import deployments
from agora.stores.deployments import Pointer
from agora.stores.online import MemoryOnlineStore
from agora.stores.predictions import MemoryPredictionLog
from tests.deployed import TOY, deployment, saved
from tests.toy_system import PAYMENT

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def live(settings: Settings, tmp_path: Path) -> Iterator[Live]:
    deployments.write(settings.deployments, Pointer(current=deployment(tmp_path, "1")))
    held = Live(TOY, settings, MemoryOnlineStore(), MemoryPredictionLog())
    held.start()
    yield held
    held.close()


def _until(condition: Any) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_service_follows_its_pointer(live: Live, settings: Settings, tmp_path: Path) -> None:
    deployments.write(settings.deployments, Pointer(current=deployment(tmp_path, "2", 10.0)))
    _until(lambda: live.describe()["version"] == "2")
    assert live.predictor.predict_one(PAYMENT).score == 50 / 60


def test_a_service_keeps_what_it_serves_when_the_new_version_fails(
    live: Live, settings: Settings, tmp_path: Path
) -> None:
    two = deployment(tmp_path, "2")
    (Path(two.model) / "toy.json").write_text("torn")
    deployments.write(settings.deployments, Pointer(current=two))
    _until(lambda: live.problem)
    assert "toy.json differs" in live.describe()["problem"]
    assert live.predictor.predict_one(PAYMENT).model_version == "1"
    three = deployment(tmp_path, "3", 10.0)
    wrong = [{**three.golden[0], "answer": {**three.golden[0]["answer"], "score": 0.9}}]
    spoiled = type(three)(**{name: getattr(three, name) for name in three.__struct_fields__}
                         | {"golden": wrong})  # fmt: skip
    deployments.write(settings.deployments, Pointer(current=spoiled))
    _until(lambda: "answered differently in score" in live.problem)
    assert live.describe()["version"] == "1"
    deployments.write(settings.deployments, Pointer(current=deployment(tmp_path, "4")))
    _until(lambda: live.describe()["version"] == "4" and not live.problem)


def test_a_service_starts_with_its_own_model_when_the_pointer_cannot_be_served(
    settings: Settings, tmp_path: Path
) -> None:
    two = deployment(tmp_path, "2")
    (Path(two.model) / "toy.json").unlink()
    deployments.write(settings.deployments, Pointer(current=two))
    baked = saved(tmp_path, "1")
    held = Live(TOY, settings, MemoryOnlineStore(), MemoryPredictionLog(), baked=baked)
    assert (held.describe()["version"], held.describe()["alias"]) == ("1", "baked")
    assert "toy.json is missing" in held.describe()["problem"]
