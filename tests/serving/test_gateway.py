"""The gateway: who may do what, how often, and what is told of it."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from limits import RateLimitItemPerHour

from agora.serving import limits, logs
from agora.serving.gateway import request_id_of
from agora.settings import Settings
from agora.stores.valkey import stop_online
from tests.serving.pages import Pages, pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RIGHTS = {
    "score": {"/score"},
    "analyst": {"/score", "/outcomes"},
    "operator": {"/metrics", "/model"},
    "deployment": {"/score", "/model"},
}
VERDICT = {"payment_id": "p-1", "is_fraud": True, "source": "verdict"}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Pages]:
    with pages(Settings(home=tmp_path / "home")) as running:
        yield running


def asked(shop: Pages, page: str, token: str) -> int:
    match page:
        case "/score":
            return shop.score(token).status_code
        case "/outcomes":
            return shop.ask("POST", page, token, json=VERDICT).status_code
        case _:
            return shop.ask("GET", page, token).status_code


@pytest.mark.parametrize("role", RIGHTS)
def test_a_role_may_do_what_it_is_for_and_nothing_else(shop: Pages, role: str) -> None:
    token = shop.keys.create("someone", role)
    for page in ("/score", "/outcomes", "/metrics", "/model"):
        assert asked(shop, page, token) == (200 if page in RIGHTS[role] else 403), page


def test_a_refused_key_is_told_why_and_what_to_do(shop: Pages) -> None:
    revoked, expired = (
        shop.keys.create("a", "score"),
        shop.keys.create("b", "score", lifetime=timedelta(microseconds=1)),
    )
    shop.keys.revoke("a")
    said = {"": "there is no", "agora_wrong": "not known", revoked: "revoked", expired: "expired"}
    for token, words in said.items():
        answer = shop.score(token)
        assert answer.status_code == 401
        assert words in answer.json()["error"]["message"]
        assert "agora keys create" in answer.json()["error"]["fix"]
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert not token or token not in answer.text


@pytest.mark.parametrize(
    "header",
    [{"Authorization": "{}"}, {"Authorization": "Basic {}"}, {"Authorization": "Bearer"},
     {"Authorization": "Bearer {} x"}, {"Authorization": "Bearer \udcff"}, {"X-API-Key": ""}],
)  # fmt: skip
def test_a_key_that_is_not_sent_as_asked_is_none(shop: Pages, header: dict[str, str]) -> None:
    token = shop.keys.create("shop", "score")
    sent = {k: v.format(token).encode("utf-8", "surrogateescape") for k, v in header.items()}
    assert shop.score("", headers=sent).status_code == 401


def test_the_other_header_and_another_case_do_too(shop: Pages) -> None:
    token = shop.keys.create("shop", "score")
    assert shop.score("", headers={"X-API-Key": token}).status_code == 200
    assert shop.score("", headers={"authorization": f"bearer {token}"}).status_code == 200


def test_a_revoked_key_is_refused_within_a_second(shop: Pages) -> None:
    token = shop.keys.create("shop", "score")
    assert shop.score(token).status_code == 200
    shop.keys.revoke("shop")
    time.sleep(0.6)
    assert shop.score(token).status_code == 401


def test_without_authentication_anybody_scores(tmp_path: Path) -> None:
    with pages(Settings(home=tmp_path / "home", auth=False)) as shop:
        assert shop.score("").status_code == 200


def test_the_log_names_the_caller(shop: Pages) -> None:
    from agora.stores.predictions import SUFFIX, read_segment

    shop.score(shop.keys.create("checkout", "score"))
    (segment,) = (shop.settings.prediction_log / "toy").glob(f"*{SUFFIX}")
    assert b"checkout" in next(read_segment(segment))[0]


def test_a_key_gets_no_more_than_its_rate_and_the_others_do(shop: Pages) -> None:
    slow = shop.keys.create("slow", "score", rate=3)
    other = shop.keys.create("other", "score", rate=1_000)
    answers = [shop.score(slow, n) for n in range(6)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert [answer.status_code for answer in answers[:3]] == [200] * 3
    assert refused
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert all(shop.score(other, n).status_code == 200 for n in range(10))
    time.sleep(1)
    assert shop.score(slow).status_code == 200


def test_two_services_that_share_a_store_share_a_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A store that a busy machine holds up for longer would be left out for a second.
    monkeypatch.setattr(limits, "STORE_SECONDS", 10.0)
    settings = Settings(home=tmp_path / "home", rate_limits="shared")
    try:
        with pages(settings) as one, pages(settings) as two:
            # In an hour's window, which no machine outlasts.
            monkeypatch.setattr(limits, "RateLimitItemPerSecond", RateLimitItemPerHour)
            token = one.keys.create("shop", "score", rate=4)
            statuses = [shop.score(token, n).status_code for n in range(4) for shop in (one, two)]
            assert statuses == [200] * 4 + [429] * 4
            stop_online(settings)
            assert one.score(token, 9).status_code in (200, 429), "it counts alone"
    finally:
        stop_online(settings)


def test_a_peer_that_tries_keys_is_stopped_and_nobody_else(shop: Pages) -> None:
    token = shop.keys.create("shop", "score")
    statuses = [shop.score(f"agora_{n}", peer="10.0.0.1").status_code for n in range(40)]
    assert statuses == [401] * 30 + [429] * 10
    assert shop.score("agora_x", peer="10.0.0.2").status_code == 401
    assert shop.score(token, peer="10.0.0.1").status_code == 200, "a right key passes"
    roaming = [shop.score("agora_x", peer=f"2001:db8::{n:x}").status_code for n in range(40)]
    assert roaming.count(429) == 10


@pytest.mark.parametrize(
    "sent", ["0a1b2c3d-order.7_", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "request-1"]
)
def test_a_sane_request_id_comes_back(shop: Pages, sent: str) -> None:
    answer = shop.ask("GET", "/livez", headers={"X-Request-Id": sent})
    assert answer.headers["x-request-id"] == sent


@pytest.mark.parametrize(
    "sent",
    ["", "short", "a" * 65, "4111111111111111", "4111-1111-1111-1111", "+33 6 12 34 56 78",
     "ana@example.org", "agora_secret_token", 'x"}\n{"y', "<script>1</script>"],
)  # fmt: skip
def test_what_may_be_personal_is_no_request_id(sent: str) -> None:
    given = request_id_of(sent.encode())
    assert given != sent
    assert len(given) == 16


def test_nothing_that_a_caller_wrote_reaches_the_log(
    shop: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All within a second of the log, however long it takes.
    monkeypatch.setattr(logs, "time", SimpleNamespace(monotonic=lambda: 1_000.0))
    token = shop.keys.create("shop", "score", rate=5)
    for number in range(60):
        secret = f"secret{number}"
        shop.ask("GET", f"/{secret}", token, headers={"X-Request-Id": f"{secret}@example.org"})
        shop.ask("POST", "/score", f"agora_{secret}", json={"card_id": secret})
        shop.ask("POST", "/score", token, json={secret: secret, "card_id": secret})
        shop.ask("POST", "/score", token, content=secret, headers={"Content-Type": secret})
        shop.ask("PUT", f"/score?{secret}={secret}", token, headers={"Cookie": secret})
    text = shop.lines.getvalue()
    lines = [json.loads(line) for line in text.splitlines()]
    assert {line["reason"] for line in lines} >= {
        "page", "unknown_key", "invalid", "not_declared", "method", "rate"
    }  # fmt: skip
    assert all(line["request_id"] for line in lines)
    assert "secret" not in text
    assert token not in text
    assert len(lines) < 200, "a flood is counted, not written"


def test_a_degraded_answer_is_logged_with_its_request_id(shop: Pages) -> None:
    token = shop.keys.create("shop", "score")
    shop.store.down = True
    answer = shop.score(token, headers={"X-Request-Id": "order-12345"})
    assert answer.json()["degraded"]
    (line,) = [line for line in map(json.loads, shop.lines.getvalue().splitlines())
               if line["event"] == "degraded"]  # fmt: skip
    assert (line["reason"], line["request_id"], line["caller"]) == ("store", "order-12345", "shop")


def test_alive_is_not_ready_and_ready_is_not_whole(shop: Pages) -> None:
    assert shop.ask("GET", "/livez").json() == {"alive": True}
    assert shop.ask("GET", "/readyz").json() == {"ready": True, "missing": [], "degraded": []}
    shop.store.down = True
    time.sleep(1.1)
    answer = shop.ask("GET", "/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "missing": [], "degraded": ["store"]}


def test_without_a_log_or_a_model_a_service_is_not_ready_and_lives(shop: Pages) -> None:
    folder = shop.settings.prediction_log / "toy"
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("not a folder")
    live = shop.scoring.live
    del shop.scoring.live
    try:
        answer = shop.ask("GET", "/readyz")
        assert (answer.status_code, answer.json()["missing"]) == (503, ["model", "log"])
        assert shop.ask("GET", "/livez").status_code == 200
    finally:
        shop.scoring.live = live
