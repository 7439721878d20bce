"""Adjustments: what is in force is served, what is torn is not, and nothing else moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from agora.adjustments import Adjusted, Adjustments, AdjustmentsError, parted
from agora.serving.golden import golden_answers
from agora.serving.live import Live
from agora.settings import Settings
from agora.stores import deployments
from agora.stores.adjustments import in_force, next_number, publish, read, withdraw
from agora.stores.deployments import Deployment, Pointer
from agora.stores.online import MemoryOnlineStore
from agora.stores.predictions import MemoryPredictionLog
from tests.toy_system import PAYMENT, ToyPipeline, toy_system

if TYPE_CHECKING:
    from pathlib import Path

TOY = toy_system()
MADE_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
AT = int(MADE_AT.timestamp() * 1e6)


def made(number: int = 1, shift: float = 2.0, version: str = "1") -> Adjustments:
    return Adjustments(
        system="toy", number=number, model_version=version, made_at=MADE_AT, half_life_hours=24,
        shifts={"card": {"k-1": shift}},
    )  # fmt: skip


def served(settings: Settings, folder: Path, version: str = "1") -> None:
    pipeline = ToyPipeline(version)
    pipeline.save(folder / version)
    deployments.write(
        settings.deployments,
        Pointer(
            current=Deployment(
                system="toy", version=version, bento=f"toy:{version}", model=str(folder / version),
                golden=golden_answers(TOY, pipeline), deployed_at=datetime.now(UTC),
            )
        ),
    )  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def live(settings: Settings, tmp_path: Path) -> Live:
    served(settings, tmp_path)
    return Live(TOY, settings, MemoryOnlineStore(), MemoryPredictionLog())


def score(live: Live, card: str = "k-1") -> float:
    answer = live.predictor.predict_one({**PAYMENT, "card_id": card})
    return answer.score


def test_a_shift_is_one_of_log_odds_and_spares_all_other_rows() -> None:
    scores = np.array([0.01, 0.01, 0.5, 0.0, 1.0])
    cards = np.array(["k-1", "k-2", None, "k-1", "k-1"], dtype=object)
    found = made().apply(scores, {"card": cards}, np.full(5, AT))
    odds = found[0] / (1 - found[0])
    assert odds == pytest.approx(0.01 / 0.99 * np.exp(2.0))
    assert found[[1, 2]].tolist() == [0.01, 0.5]
    assert 0 < found[3] < 1e-7
    assert found[4] > 0.999


def test_a_shift_loses_half_in_each_half_life_and_never_grows() -> None:
    cards = np.array(["k-1"] * 3, dtype=object)
    day = timedelta(days=1) // timedelta(microseconds=1)
    shift = made().shift({"card": cards}, np.array([AT - day, AT + day, AT + 2 * day]))
    assert shift.tolist() == pytest.approx([2.0, 1.0, 0.5])


def test_a_running_service_takes_adjustments_and_gives_them_back(
    live: Live, settings: Settings
) -> None:
    before = score(live), score(live, "k-2")
    publish(settings.adjustments, made())
    live.follow()
    assert live.describe()["version"] == "1+a1"
    assert score(live) > before[0]
    assert score(live, "k-2") == before[1]
    withdraw(settings.adjustments, "toy")
    live.follow()
    assert live.describe()["version"] == "1"
    assert (score(live), score(live, "k-2")) == before


def test_the_log_names_the_adjustments_and_keeps_the_models_own_score(
    live: Live, settings: Settings
) -> None:
    publish(settings.adjustments, made())
    live.follow()
    answer = live.predictor.predict_one(PAYMENT)
    record = live._log.predictions[-1]
    assert record.model_version == answer.model_version == "1+a1"
    model, number = parted(record.model_version)
    again = Adjusted(ToyPipeline(model), read(settings.adjustments, "toy", number), {
        "card": "card_id"
    })  # fmt: skip
    ids = {"card": np.array(["k-1"], dtype=object)}
    assert answer.score == again.adjustments.apply(
        np.array([record.score]), ids, np.array([record.event_at])
    )


def test_torn_adjustments_leave_those_in_force(live: Live, settings: Settings) -> None:
    publish(settings.adjustments, made())
    live.follow()
    adjusted = score(live)
    publish(settings.adjustments, made(2, shift=-2.0))
    path = settings.adjustments / "toy" / "2.json"
    path.write_bytes(path.read_bytes()[:-20])
    live.follow()
    assert score(live) == adjusted
    assert "2.json" in live.describe()["problem"]


def test_a_service_starts_without_torn_adjustments(settings: Settings, tmp_path: Path) -> None:
    served(settings, tmp_path)
    publish(settings.adjustments, made())
    (settings.adjustments / "toy" / "1.json").write_bytes(b"")
    live = Live(TOY, settings, MemoryOnlineStore(), MemoryPredictionLog())
    assert live.describe()["version"] == "1"
    assert "1.json" in live.describe()["problem"]


def test_another_models_adjustments_are_left_alone(
    live: Live, settings: Settings, tmp_path: Path
) -> None:
    publish(settings.adjustments, made())
    live.follow()
    served(settings, tmp_path, "2")
    live.follow()
    assert live.describe()["version"] == "2"


def test_numbers_are_never_used_twice(settings: Settings) -> None:
    publish(settings.adjustments, made(1))
    with pytest.raises(FileExistsError):
        publish(settings.adjustments, made(1, shift=-1.0))
    assert in_force(settings.adjustments, "toy").shifts == {"card": {"k-1": 2.0}}
    assert next_number(settings.adjustments, "toy") == 2


def test_adjustments_of_another_model_are_refused() -> None:
    with pytest.raises(AdjustmentsError, match="of model 1, not of 2"):
        Adjusted(ToyPipeline("2"), made(), {"card": "card_id"})
