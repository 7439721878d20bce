"""History tells what served at a time, and loses nothing that a killed run could not write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from agora.adjustments import Adjustments
from agora.deployment import rollback
from agora.history import history, render
from agora.settings import Settings
from agora.stores import deployments
from agora.stores.adjustments import publish
from agora.stores.decisions import Decision, read, record
from agora.stores.deployments import Deployment, Pointer
from agora.stores.lake import Lake
from tests.toy_system import ToyPipeline, toy_system

if TYPE_CHECKING:
    from pathlib import Path

TOY = toy_system()
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def decided(settings: Settings, hour: int, version: str, action: str = "promoted", **more) -> bool:
    decision = Decision(
        system="toy", version=version, action=action, at=NOON + hour * HOUR,
        **{"by": "gate", "run_id": f"run-{hour}", **more},
    )  # fmt: skip
    return record(Lake(settings.lake), decision)


def test_before_the_first_decision_nothing_served(settings: Settings) -> None:
    assert history(settings, TOY, NOON).version is None
    assert render(settings, TOY) == "toy: nothing has been decided yet"
    assert render(settings, TOY, NOON).endswith("nothing served")


def test_the_version_of_each_moment_is_named_with_whose_decision_it_was(
    settings: Settings,
) -> None:
    decided(settings, 0, "1")
    decided(settings, 1, "2", stimulus="drift/2026-03-01", champion_before="1")
    decided(settings, 2, "3", "refused", reasons=["lead over the champion -0.1"])
    decided(settings, 3, "1", "rolled_back", by="person:ada")
    served = [history(settings, TOY, NOON + hour * HOUR).version for hour in (-1, 0, 1, 2, 3, 9)]
    assert served == [None, "1", "2", "2", "1", "1"]
    text = render(settings, TOY, NOON + HOUR)
    assert "version 2" in text
    assert "since        2026-03-01 13:00:00 UTC, promoted by gate" in text
    assert "trained for  drift/2026-03-01" in text
    assert history(settings, TOY, NOON + 4 * HOUR).by == "person:ada"
    listed = render(settings, TOY)
    assert [line[:10] for line in listed.splitlines()].count("2026-03-01") == 4
    assert "    lead over the champion -0.1" in listed.splitlines()


def test_adjustments_are_those_of_the_model_at_that_time(settings: Settings) -> None:
    decided(settings, 0, "1")
    publish(
        settings.adjustments,
        Adjustments(
            system="toy", number=1, model_version="1", made_at=NOON + HOUR, half_life_hours=72,
            shifts={"merchant": {"m-1": 1.5}},
        ),
    )  # fmt: skip
    decided(settings, 1, "1+a1", "adjusted", by="sensor:labels")
    decided(settings, 2, "1+a1", "withdrawn", by="person:ada")
    decided(settings, 3, "2")
    numbers = [
        history(settings, TOY, NOON + hour * HOUR).adjustments.get("number") for hour in range(4)
    ]
    assert numbers == [None, 1, None, None]
    assert "1 of merchant: m-1 +1.50" in render(settings, TOY, NOON + HOUR)


def test_a_run_that_is_repeated_decides_once(settings: Settings) -> None:
    assert decided(settings, 0, "1")
    assert not decided(settings, 0, "1")
    assert read(Lake(settings.lake), "toy").height == 1


def deployment(settings: Settings, version: str, at: datetime) -> Deployment:
    folder = settings.home / version
    ToyPipeline(version).save(folder)
    return Deployment(
        system="toy", version=version, bento=f"toy:{version}", model=str(folder), golden=[],
        deployed_at=at, run_id=f"lost-{version}",
    )  # fmt: skip


def test_a_deployment_whose_run_died_before_it_could_say_so_is_not_lost(
    settings: Settings,
) -> None:
    decided(settings, 0, "1")
    pointer = Pointer(
        current=deployment(settings, "2", NOON + HOUR), previous=deployment(settings, "1", NOON)
    )
    deployments.write(settings.deployments, pointer)
    assert history(settings, TOY, NOON + 2 * HOUR).version == "2"
    assert history(settings, TOY, NOON + 2 * HOUR).by == "unrecorded"
    assert history(settings, TOY, NOON).by == "gate"


def test_a_rollback_names_the_person_and_both_versions(settings: Settings) -> None:
    pointer = Pointer(
        current=deployment(settings, "2", NOON + HOUR), previous=deployment(settings, "1", NOON)
    )
    deployments.write(settings.deployments, pointer)
    rollback(TOY, settings, by="person:ada", reason="too many declines")
    last = read(Lake(settings.lake), "toy").row(-1, named=True)
    assert (last["action"], last["by"], last["version"]) == ("rolled_back", "person:ada", "1")
    assert (last["champion_before"], last["champion_after"]) == ("2", "1")
    assert history(settings, TOY, datetime.now(UTC)).version == "1"
    assert "too many declines" in render(settings, TOY)


def test_a_time_without_a_zone_is_refused(settings: Settings) -> None:
    with pytest.raises(ValueError, match="zone"):
        history(settings, TOY, datetime(2026, 3, 1))
