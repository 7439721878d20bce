"""What analysts say changes the scores it speaks of within a minute, or is refused and why."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import polars as pl
import pytest

from agora.adjustments import Adjusting
from agora.analysts import adjust, shifts, withdraw
from agora.entities.cards import CARD
from agora.entities.customers import CUSTOMER
from agora.serving.golden import golden_answers
from agora.serving.live import Live
from agora.settings import Settings
from agora.stores import deployments
from agora.stores.adjustments import in_force
from agora.stores.decisions import read
from agora.stores.deployments import Deployment, Pointer
from agora.stores.lake import Lake
from agora.stores.online import MemoryOnlineStore
from agora.stores.predictions import FilePredictionLog
from sensors.adjust import adjust_sensor
from tests.toy_system import PAYMENT, ToyPipeline, toy_system

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULE = Adjusting(entities=(CARD, CUSTOMER))
SAID = {
    "request_id": pl.String, "label": pl.Float64, "source": pl.String,
    "arrived_at": pl.Datetime("us", "UTC"), "precedence": pl.Int64,
}  # fmt: skip


def said(lake: Lake, as_of: datetime) -> pl.DataFrame:
    rows = lake.read("raw/said") if lake.exists("raw/said") else pl.DataFrame(schema=SAID)
    return rows.filter(pl.col("arrived_at") < as_of)


SYSTEM = replace(toy_system(), adjusting=RULE, outcomes=said)


def label(settings: Settings, verdicts: dict[str, float]) -> None:
    """Analysts say these of requests, now."""
    rows = [
        {"request_id": key, "label": value, "source": "verdict", "arrived_at": datetime.now(UTC),
         "precedence": 0}
        for key, value in verdicts.items()
    ]  # fmt: skip
    lake = Lake(settings.lake)
    lake.write("raw/said", pl.concat([said(lake, datetime.max.replace(tzinfo=UTC)),
                                      pl.DataFrame(rows, schema=SAID)]))  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def live(settings: Settings) -> Iterator[Live]:
    """A service that answers from a deployment and follows it, as in production."""
    pipeline = ToyPipeline("1")
    pipeline.save(settings.home / "model")
    pointer = Pointer(
        current=Deployment(
            system="toy", version="1", bento="toy:1", model=str(settings.home / "model"),
            golden=golden_answers(SYSTEM, pipeline), deployed_at=datetime.now(UTC),
        )
    )  # fmt: skip
    deployments.write(settings.deployments, pointer)
    log = FilePredictionLog(settings.prediction_log / "toy")
    held = Live(SYSTEM, settings, MemoryOnlineStore(), log)
    held.start()
    yield held
    held.close()


def pay(live: Live, number: object, card: str, amount: float = 5.0) -> float:
    request = {
        **PAYMENT, "payment_id": f"p-{number}", "card_id": card, "customer_id": f"c-{number}",
        "amount": amount, "event_at": datetime.now(UTC).isoformat(),
    }  # fmt: skip
    return live.predictor.predict_one(request).score


def traffic(live: Live, frauds: int = 6, honest: int = 30) -> dict[str, float]:
    """Small payments: those of card `bad` are frauds, nobody else's."""
    for number in range(frauds):
        pay(live, f"bad-{number}", "bad")
    for number in range(honest):
        pay(live, f"good-{number}", f"card-{number % 5}")
    bad = {f"p-bad-{number}": 1.0 for number in range(frauds)}
    return bad | {f"p-good-{number}": 0.0 for number in range(honest)}


def test_a_label_changes_the_scores_that_it_speaks_of_within_a_minute(
    live: Live, settings: Settings
) -> None:
    verdicts = traffic(live)
    before, other = pay(live, 1, "bad"), pay(live, 2, "someone")
    sensor = adjust_sensor(SYSTEM, settings)
    context = dg.build_sensor_context(instance=dg.DagsterInstance.ephemeral())
    label(settings, verdicts)
    started = time.monotonic()
    sensor(context)
    while pay(live, 3, "bad") == before:
        assert time.monotonic() - started < 40, "with the sensor's 15 seconds that is a minute"
        time.sleep(0.05)
    assert pay(live, 4, "bad") > 3 * before
    assert pay(live, 5, "someone") == other
    row = read(Lake(settings.lake), "toy").row(-1, named=True)
    assert (row["action"], row["version"], row["by"]) == ("adjusted", "1+a1", "sensor:labels")


def test_without_new_labels_nothing_is_learned_again(live: Live, settings: Settings) -> None:
    assert adjust_sensor(SYSTEM, settings).minimum_interval_seconds == 15
    assert adjust(SYSTEM, settings).action == "none"
    label(settings, traffic(live))
    assert adjust(SYSTEM, settings).version == "1+a1"
    live.follow()
    pay(live, 6, "bad")
    assert adjust(SYSTEM, settings).action == "none"
    label(settings, {"p-6": 1.0})
    assert adjust(SYSTEM, settings).version == "1+a2"
    assert read(Lake(settings.lake), "toy").height == 2


def test_labels_that_follow_no_card_are_refused_once(live: Live, settings: Settings) -> None:
    # One card looks bad, and thirty are half and half: what three labels of a card say of the
    # fourth is wrong more often than right.
    rng, verdicts = np.random.default_rng(3), {}
    for number in range(120):
        pay(live, number, f"card-{number % 30}", amount=rng.uniform(60, 90))
        verdicts[f"p-{number}"] = float(number // 30 % 2)
    for number in range(120, 123):
        pay(live, number, "bad", amount=50.0)
        verdicts[f"p-{number}"] = 1.0
    label(settings, verdicts)
    change = adjust(SYSTEM, settings)
    assert change.action == "refused"
    assert "average precision" in change.reasons[0]
    assert in_force(settings.adjustments, "toy") is None
    adjust(SYSTEM, settings)
    rows = read(Lake(settings.lake), "toy")
    assert rows["action"].to_list() == ["refused"]
    assert rows["by"].to_list() == ["gate"]


def test_a_wave_of_changed_decisions_is_refused(live: Live, settings: Settings) -> None:
    verdicts = {}
    for number in range(60):
        pay(live, number, "busy", amount=60.0)
        verdicts[f"p-{number}"] = float(number % 10 > 0)
    label(settings, verdicts)
    change = adjust(SYSTEM, settings)
    assert change.action == "refused"
    assert any("60 of 60 recent decisions change, at most 20" in each for each in change.reasons)
    assert pay(live, 99, "busy", amount=60.0) == pytest.approx(60 / 160)


def test_adjustments_are_withdrawn_by_a_person(live: Live, settings: Settings) -> None:
    label(settings, traffic(live))
    adjust(SYSTEM, settings)
    live.follow()
    changed = pay(live, 7, "bad")
    assert withdraw(SYSTEM, settings, by="person:ada")
    live.follow()
    assert pay(live, 8, "bad") < changed
    assert read(Lake(settings.lake), "toy")["by"].to_list()[-1] == "person:ada"
    assert not withdraw(SYSTEM, settings, by="person:ada")


NOW = datetime(2026, 3, 9, tzinfo=UTC)


def rows(labels: list[float], scores: list[float], card: str = "k") -> pl.DataFrame:
    ids = [[{"entity": "card", "id": card}, {"entity": "customer", "id": f"c-{card}"}]]
    return pl.DataFrame(
        {
            "prediction_id": [f"{card}{n}" for n in range(len(labels))],
            "label": labels, "score": scores, "entity_ids": ids * len(labels),
            "labelled_at": [NOW] * len(labels),
        }
    )  # fmt: skip


def test_labels_as_expected_shift_nothing() -> None:
    expected = rows([1.0] * 5 + [0.0] * 5, [0.5] * 10)
    assert shifts(expected, RULE, NOW) == {}


def test_two_labels_are_too_few_and_many_are_bounded() -> None:
    assert shifts(rows([1.0] * 2, [0.01] * 2), RULE, NOW) == {}
    found = shifts(rows([1.0] * 500, [0.001] * 500), replace(RULE, entities=(CARD,)), NOW)
    assert found == {"card": {"k": 3.0}}


def test_more_labels_shift_further_and_old_ones_less() -> None:
    one = replace(RULE, entities=(CARD,))

    def shift(count: int, age: timedelta = timedelta(0)) -> float:
        return shifts(rows([1.0] * count, [0.05] * count), one, NOW + age)["card"]["k"]

    assert 0 < shift(3) < shift(6) < shift(12)
    assert shift(6, timedelta(days=3)) == pytest.approx(shift(3), abs=1e-6)


def test_a_card_and_a_customer_of_the_same_payments_share_what_they_say() -> None:
    alone = shifts(rows([1.0] * 6, [0.05] * 6), replace(RULE, entities=(CARD,)), NOW)
    both = shifts(rows([1.0] * 6, [0.05] * 6), RULE, NOW)
    assert both["card"]["k"] == pytest.approx(both["customer"]["c-k"], abs=1e-3)
    total = both["card"]["k"] + both["customer"]["c-k"]
    assert alone["card"]["k"] < total < 1.5 * alone["card"]["k"]


def test_cleared_payments_lower_a_shift() -> None:
    found = shifts(rows([0.0] * 10, [0.6] * 10), replace(RULE, entities=(CARD,)), NOW)
    assert found["card"]["k"] < -1
