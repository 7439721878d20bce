"""Alerts say what is wrong once, with the page that helps, and say once that it is over."""

from __future__ import annotations

import json
import logging
import re
import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from agora.alerts import NAMES, Alert, Situation, deliver, firing
from agora.registry import SYSTEMS
from agora.settings import Settings
from agora.stores import deployments
from agora.stores.decisions import Decision, record
from agora.stores.deployments import Deployment, Pointer
from agora.stores.drain import drain
from agora.stores.lake import Lake
from agora.stores.predictions import FilePredictionLog, Prediction
from agora.systems.fraud import SYSTEM as FRAUD
from tests.toy_system import toy_system

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNBOOKS = Path(__file__).parents[1] / "docs" / "runbooks"
TOY = replace(toy_system(), budgets=FRAUD.budgets)
NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)


class Receiver(ThreadingHTTPServer):
    """A webhook's other end: keeps messages, fails as often as it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.messages: list[dict[str, Any]] = []
        self.failures = 0


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.failures:
            self.server.failures -= 1
            self.send_response(503)
        else:
            self.server.messages.append(json.loads(body))
            self.send_response(204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def settings(tmp_path: Path, receiver: Receiver) -> Settings:
    return Settings(
        home=tmp_path, alert_webhook=f"http://127.0.0.1:{receiver.server_port}/hook",
        service_port=9,  # Nobody listens there.
    )  # fmt: skip


def alert(text: str = "p99 60 ms", subject: str = "inference") -> Alert:
    return Alert("toy", "latency", text, subject)


def test_an_alert_is_told_once_when_it_begins_and_once_when_it_ends(
    settings: Settings, receiver: Receiver
) -> None:
    for alerts in ([alert()], [alert("p99 70 ms")], [alert()], [], []):
        deliver(settings, "toy", alerts, NOW)
    assert [each["status"] for each in receiver.messages] == ["firing", "resolved"]
    first = receiver.messages[0]
    assert first["runbook"] == "docs/runbooks/toy.md#latency"
    assert (first["severity"], first["text"]) == ("page", "p99 60 ms")


def test_alerts_of_one_name_are_told_apart_by_what_they_are_about(
    settings: Settings, receiver: Receiver
) -> None:
    deliver(settings, "toy", [alert(), alert(subject="gateway")], NOW)
    deliver(settings, "toy", [alert()], NOW)
    assert [(m["key"], m["status"]) for m in receiver.messages] == [
        ("toy/latency/inference", "firing"),
        ("toy/latency/gateway", "firing"),
        ("toy/latency/gateway", "resolved"),
    ]


def test_a_webhook_that_fails_once_is_tried_again(settings: Settings, receiver: Receiver) -> None:
    receiver.failures = 1
    deliver(settings, "toy", [alert()], NOW)
    assert len(receiver.messages) == 1


def test_what_could_not_be_told_is_told_later(
    settings: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agora.alerts.delivery.PAUSE_SECONDS", 0.01)
    receiver.failures = 3
    assert deliver(settings, "toy", [alert()], NOW) == []
    deliver(settings, "toy", [alert()], NOW)
    assert [each["status"] for each in receiver.messages] == ["firing"]


def test_without_a_webhook_alerts_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for alerts in ([alert()], [alert()], []):
        deliver(Settings(home=tmp_path), "toy", alerts, NOW)
    assert [each.levelname for each in caplog.records] == ["WARNING", "INFO"]


def names(settings: Settings, now: datetime = NOW) -> dict[str, Alert]:
    return {each.name: each for each in firing(Situation.of(TOY, settings, now))}


def answer(number: int, at: datetime, **more: Any) -> Prediction:
    stages = {"gateway": 1_000_000, "inference": 2_000_000}
    return Prediction(**{
        "prediction_id": f"p-{number}", "system": "toy", "model_version": "1",
        "request_id": f"r-{number}", "entity_ids": {}, "request": "{}", "features": [],
        "score": 0.1, "output": "{}", "decision": "approve", "latencies": stages,
        "degraded": False, "event_at": int(at.timestamp() * 1e6),
        "predicted_at": int(at.timestamp() * 1e6), **more,
    })  # fmt: skip


def logged(settings: Settings, answers: list[Prediction], *, drained: bool = True) -> None:
    log = FilePredictionLog(settings.prediction_log / "toy")
    for each in answers:
        log.append(each)
    log.close()
    if drained:
        drain(settings.prediction_log / "toy", Lake(settings.lake))


def test_an_empty_home_and_a_healthy_hour_raise_nothing(settings: Settings) -> None:
    assert names(settings) == {}
    logged(settings, [answer(n, NOW - timedelta(minutes=9)) for n in range(120)])
    assert names(settings) == {}


def test_a_stage_over_its_budget_is_named(settings: Settings) -> None:
    slow = {"gateway": 1_000_000, "feature_computation": 60_000_000}
    answers = [answer(n, NOW - timedelta(minutes=9), latencies=slow) for n in range(30)]
    logged(settings, answers)
    found = names(settings)["latency"]
    assert found.subject == "feature_computation"
    assert "p99 60.0 ms, budget 50 ms" in found.text
    assert "latency" not in names(settings, NOW + timedelta(hours=2))


def test_degraded_answers_above_the_budget_raise_an_alert(settings: Settings) -> None:
    at = NOW - timedelta(minutes=5)
    logged(settings, [answer(n, at, degraded=n < 4) for n in range(200)])
    assert "2.0% of 200 answers degraded, budget 1.0%" in names(settings)["degraded"].text


def test_dear_answers_raise_an_alert(settings: Settings) -> None:
    # At five cents a core hour, half an hour of one core is above a cent.
    dear = {"inference": 1_800_000_000_000}
    logged(settings, [answer(0, NOW, latencies=dear)])
    assert "budget 0.01" in names(settings)["cost"].text


def test_answers_that_stay_out_of_the_lake_raise_an_alert(settings: Settings) -> None:
    now = datetime.now(UTC)
    logged(settings, [answer(0, now)], drained=False)
    assert "log-lag" not in names(settings, now)
    later = now + timedelta(hours=2)
    assert "120 minutes ago" in names(settings, later)["log-lag"].text
    drain(settings.prediction_log / "toy", Lake(settings.lake))
    assert "log-lag" not in names(settings, later)


def test_old_features_raise_an_alert_that_names_the_set(settings: Settings) -> None:
    table = TOY.feature_sets[0]
    frame = pl.DataFrame({"feature_date": [date(2026, 3, 7)], "x": [1.0]})
    Lake(settings.lake).write(table.table, frame, partition_by="feature_date")
    # March 7 ends at midnight: 26 hours later is March 9, 02:00.
    assert "freshness" not in names(settings, datetime(2026, 3, 9, 1, tzinfo=UTC))
    assert names(settings)["freshness"].subject == table.name


def test_rejected_rows_of_the_newest_day_raise_an_alert(settings: Settings) -> None:
    lake = Lake(settings.lake)
    raw = pl.DataFrame({"arrival_date": [date(2026, 3, 8)] * 90})
    lake.write("raw/payments", raw)
    lake.write("quarantine/payments", raw.head(10))
    found = {each.name: each for each in firing(Situation.of(FRAUD, settings, NOW))}
    assert found["quarantine"].text == "10.0% of payments of 2026-03-08 in quarantine"
    lake.write("raw/payments", pl.DataFrame({"arrival_date": [date(2026, 3, 9)] * 90}))
    found = {each.name for each in firing(Situation.of(FRAUD, settings, NOW))}
    assert "quarantine" not in found


def test_a_refusal_raises_an_alert_until_something_is_promoted(settings: Settings) -> None:
    lake = Lake(settings.lake)
    no = Decision(system="toy", version="2", action="refused", by="gate", reasons=["worse"])
    record(lake, no)
    assert names(settings)["refused"].text == "version 2 refused by gate: worse"
    record(lake, Decision(system="toy", version="3", action="promoted", by="gate"))
    assert "refused" not in names(settings)


class Probed(Handler):
    """A service that says of itself what its server is told."""

    def do_GET(self) -> None:
        body = json.dumps(self.server.messages[0]).encode()
        self.send_response(200 if self.server.messages[0]["ready"] else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_a_service_that_is_down_or_lacks_its_store_raises_an_alert(
    settings: Settings, receiver: Receiver
) -> None:
    pointer = Pointer(
        current=Deployment(
            system="toy", version="1", bento="toy:1", model="", golden=[], deployed_at=NOW
        )
    )
    deployments.write(settings.deployments, pointer)
    assert set(names(settings)) == {"service-down"}
    receiver.RequestHandlerClass = Probed
    up = settings.model_copy(update={"service_port": receiver.server_port})
    receiver.messages = [{"ready": True, "missing": [], "degraded": []}]
    assert names(up) == {}
    receiver.messages = [{"ready": True, "missing": [], "degraded": ["deep", "store"]}]
    assert {name: each.subject for name, each in names(up).items()} == {
        "breaker": "deep", "store-down": "",
    }  # fmt: skip
    receiver.messages = [{"ready": False, "missing": ["log"], "degraded": []}]
    assert names(up)["service-down"].text == "/readyz says 503: log"


@pytest.mark.parametrize("system", sorted(page.stem for page in RUNBOOKS.glob("*.md")))
def test_every_alert_has_a_page_that_says_what_to_do(system: str) -> None:
    text = (RUNBOOKS / f"{system}.md").read_text()
    headings = set(re.findall(r"^#+ (.+)$", text, re.MULTILINE))
    assert system in SYSTEMS
    assert set(NAMES) <= headings
