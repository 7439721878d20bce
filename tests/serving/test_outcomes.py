"""POST /outcomes: what is acknowledged becomes a label, once."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agora.ingest import ingest
from agora.serving import outcomes
from agora.settings import Settings
from agora.stores.drain import drain
from agora.stores.lake import Lake
from agora.tables import TABLES
from tests.serving.pages import Pages, pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERDICT = {"payment_id": "p-1", "is_fraud": True, "source": "verdict", "decided_by": "ana"}


FLUSH_SECONDS = 0.3


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pages]:
    monkeypatch.setattr(outcomes, "FLUSH_SECONDS", FLUSH_SECONDS)
    with pages(Settings(home=tmp_path / "home", auth=False)) as running:
        yield running


def report(shop: Pages, **fields: Any) -> tuple[int, Any]:
    answer = shop.ask("POST", "/outcomes", json=fields)
    return answer.status_code, answer.json()


def labels(shop: Pages, table: str, count: int) -> list[dict[str, Any]]:
    """Rows of the raw table once that many are landed."""
    lake, landing = Lake(shop.settings.lake), shop.settings.landing
    today = datetime.now(UTC).date()
    until = time.monotonic() + 60
    while True:
        taken = ingest(
            lake, landing, TABLES[table], today - timedelta(days=1), today + timedelta(days=1)
        )
        assert taken.rows_rejected == 0
        if taken.rows_accepted >= count:
            return lake.read(f"raw/{table}").sort("arrived_at").to_dicts()
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_verdict_becomes_a_row_of_raw_within_seconds_and_once(shop: Pages) -> None:
    status, first = report(shop, **VERDICT)
    assert (status, first["is_new"]) == (200, True)
    assert report(shop, **VERDICT)[1] == {**first, "is_new": False}
    (row,) = labels(shop, "verdicts", 1)
    assert report(shop, **VERDICT)[1]["is_new"] is False
    time.sleep(4 * FLUSH_SECONDS)
    assert len(labels(shop, "verdicts", 1)) == 1
    assert (row["payment_id"], row["is_fraud"], row["analyst_id"]) == ("p-1", True, "ana")
    assert row["verdict_id"] == first["outcome_id"]


def test_a_chargeback_becomes_a_row_of_its_table(shop: Pages) -> None:
    assert report(
        shop, payment_id="p-1", is_fraud=True, source="chargeback", amount=12.5,
        event_at="2026-03-01T12:00:00+02:00",
    )[0] == 200  # fmt: skip
    (row,) = labels(shop, "chargebacks", 1)
    assert (row["payment_id"], row["reason"], row["amount"]) == ("p-1", "fraud", 12.5)
    assert row["event_at"] == datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("drained", [False, True])
def test_an_answer_is_known_by_its_id_before_and_after_its_log_is_drained(
    shop: Pages, drained: bool
) -> None:
    answers = [shop.score("", number).json() for number in range(3)]
    if drained:
        shop.scoring.live.close()
        drain(shop.settings.prediction_log / "toy", Lake(shop.settings.lake))
        assert not list((shop.settings.prediction_log / "toy").glob("*.log"))
    status, _ = report(
        shop, prediction_id=answers[1]["prediction_id"], is_fraud=False, source="verdict"
    )
    assert status == 200
    (row,) = labels(shop, "verdicts", 1)
    assert (row["payment_id"], row["is_fraud"], row["analyst_id"]) == ("p-1", False, "anybody")


def test_an_unknown_answer_and_a_contradiction_are_refused(shop: Pages) -> None:
    known = shop.score("", 7).json()["prediction_id"]
    unknown = known[:-12] + "000000000000"
    status, body = report(shop, prediction_id=unknown, is_fraud=True, source="verdict")
    assert (status, body["error"]["field"]) == (404, "prediction_id")
    status, body = report(shop, **VERDICT, prediction_id=known)
    assert (status, body["error"]["field"]) == (422, "prediction_id")


BAD = {
    "nothing named": ({"payment_id": ...}, "payment_id"),
    "no word": ({"is_fraud": ...}, "is_fraud"),
    "text for a truth value": ({"is_fraud": "true"}, "is_fraud"),
    "another source": ({"source": "hearsay"}, "source"),
    "an extra field": ({"card_id": "1"}, "card_id"),
    "no id of ours": ({"prediction_id": "1' or '1'='1"}, "prediction_id"),
    "a null character": ({"payment_id": "p\0"}, "payment_id"),
    "the far future": ({"event_at": "2999-01-01T00:00:00Z"}, "event_at"),
    "before there were payments": ({"event_at": "1969-01-01T00:00:00Z"}, "event_at"),
}


@pytest.mark.parametrize(("change", "field"), BAD.values(), ids=BAD.keys())
def test_what_does_not_fit_is_refused_before_it_is_kept(
    shop: Pages, change: dict[str, Any], field: str
) -> None:
    fields = {name: value for name, value in {**VERDICT, **change}.items() if value is not ...}
    status, body = report(shop, **fields)
    assert (status, body["error"]["field"]) == (422, field)
    assert "'1'='1" not in json.dumps(body)
    assert shop.scoring._outcomes is not None
    assert shop.scoring._outcomes._inbox is not None
    assert shop.scoring._outcomes._inbox.waiting() == 0


def test_a_report_that_cannot_be_kept_is_not_acknowledged(shop: Pages) -> None:
    folder = shop.settings.outcome_inbox
    folder.rename(folder.with_name("gone"))
    status, body = report(shop, **VERDICT)
    assert status == 503
    assert body["error"]["fix"] == "Try again."
