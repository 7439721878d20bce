"""What the fraud service refuses: with the field, the fix and nothing of what was sent."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.bentos.services import PAYMENT

if TYPE_CHECKING:
    from tests.bentos.services import Service

pytestmark = pytest.mark.xdist_group("fraud_service")


BAD_FIELDS = {
    "missing": ({"amount": ...}, "amount"),
    "null": ({"amount": None}, "amount"),
    "extra": ({"iban": "secret-iban"}, "iban"),
    "text for a number": ({"amount": "secret-12"}, "amount"),
    "number as text": ({"amount": "12.5"}, "amount"),
    "truth value for a number": ({"amount": True}, "amount"),
    "number for text": ({"card_id": 4111111111111111}, "card_id"),
    "list for text": ({"card_id": ["secret"]}, "card_id"),
    "object for text": ({"card_id": {"secret": 1}}, "card_id"),
    "negative": ({"amount": -987.65}, "amount"),
    "huge number": ({"amount": 1e300}, "amount"),
    "huge text": ({"card_id": "secret" * 1000}, "card_id"),
    "empty id": ({"card_id": ""}, "card_id"),
    "null character": ({"card_id": "secret\0"}, "card_id"),
    "unknown channel": ({"channel": "secret-pigeon"}, "channel"),
    "bad currency": ({"currency": "secret"}, "currency"),
    "latitude out of range": ({"latitude": 91.2345}, "latitude"),
    "not a time": ({"event_at": "secret day"}, "event_at"),
    "time without zone": ({"event_at": "2026-03-01T12:00:00"}, "event_at"),
    "time as a number": ({"event_at": 1772366400}, "event_at"),
    "time as a number as text": ({"event_at": "95"}, "event_at"),
    "a day that is not": ({"event_at": "2026-02-30T12:00:00Z"}, "event_at"),
}


@pytest.mark.parametrize(("change", "field"), BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
def test_a_bad_field_is_named_with_its_fix_and_not_repeated(
    guarded: Service, change: dict[str, Any], field: str
) -> None:
    payment = {name: value for name, value in {**PAYMENT, **change}.items() if value is not ...}
    status, body = guarded.score(payment)
    assert status == 422
    assert body.keys() == {"error"}
    assert body["error"]["field"] == field
    assert body["error"]["fix"]
    value = change[field]
    if isinstance(value, list | dict | float | int | str) and value not in (True, ""):
        assert str(value) not in json.dumps(body)
    assert "Traceback" not in json.dumps(body)


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_a_number_that_is_not_finite_is_refused(guarded: Service, value: bytes) -> None:
    body = json.dumps({**PAYMENT, "amount": "?"}).encode().replace(b'"?"', value)
    status, answer = guarded.score(body)
    assert (status, answer["error"]["field"]) == (422, "amount")


BAD_BODIES = {
    "nothing": (b"", 400),
    "not json": (b"secret=1", 400),
    "half an object": (b'{"amount": 12', 400),
    "not utf-8": (b'{"card_id": "\xff\xfe"}', 400),
    "null": (b"null", 422),
    "a list": (b"[]", 422),
    "a text": (b'"secret"', 422),
    "deep lists": (b"[" * 30_000, 400),
    "deep objects": (b'{"amount":' * 6_000, 400),
    "nested payment": (json.dumps({"payment": PAYMENT}).encode(), 422),
    "an unprintable key": (json.dumps({**PAYMENT, "4111 1111\n1111": 1}).encode(), 422),
    "too large": (b" " * 70_000, 413),
}


@pytest.mark.parametrize(("body", "expected"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_bad_body_gets_a_clear_refusal(guarded: Service, body: bytes, expected: int) -> None:
    status, answer = guarded.score(body)
    assert status == expected
    assert answer["error"]["message"]
    assert answer["error"]["fix"]
    assert "secret" not in json.dumps(answer)
    assert "4111" not in json.dumps(answer)


def test_a_body_without_a_length_is_limited_too(guarded: Service) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", guarded.port, timeout=60)
    chunks = (b" " * 10_000 for _ in range(10))
    token = guarded.tokens["score"]
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    connection.request("POST", "/score", chunks, headers, encode_chunked=True)
    assert connection.getresponse().status == 413


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_another_content_type_is_refused(guarded: Service, kind: str) -> None:
    status, body = guarded.call("POST", "/score", json.dumps(PAYMENT).encode(), content_type=kind)
    assert status == 415
    assert "Content-Type: application/json" in body["error"]["fix"]


def test_a_declared_charset_is_accepted(guarded: Service) -> None:
    body = json.dumps(PAYMENT).encode()
    status, _ = guarded.call("POST", "/score", body, content_type="application/json; charset=utf-8")
    assert status == 200


def test_other_methods_and_pages_are_refused(guarded: Service) -> None:
    status, body = guarded.call("GET", "/score")
    assert (status, list(body)) == (405, ["error"])
    assert guarded.call("GET", "/nowhere")[0] == 404


def test_nothing_personal_and_no_traceback_reaches_the_log(guarded: Service) -> None:
    guarded.score({**PAYMENT, "card_id": "secret-card", "amount": "secret"})
    guarded.score(PAYMENT)
    text = guarded.log.read_text()
    assert "secret" not in text
    assert "Traceback" not in text
