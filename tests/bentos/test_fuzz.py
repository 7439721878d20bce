"""The service under requests that nobody thought of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate

from tests.bentos.fuzzing import Fuzzed, fuzz

if TYPE_CHECKING:
    from tests.bentos.services import Service

pytestmark = pytest.mark.xdist_group("fraud_service")
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40)


def test_the_openapi_document_is_valid(guarded: Service) -> None:
    document = guarded.call("GET", "/openapi.json")[1]
    validate(document)
    listed = guarded.call("GET", "/")[1]["pages"].keys()
    assert listed <= document["paths"].keys()


def _hold(fuzzed: Fuzzed, service: Service, requests: int) -> None:
    assert fuzzed.requests >= requests
    statuses = {status for _, _, status in fuzzed.statuses}
    assert max(statuses) < 500
    for page in ("/score", "/outcomes"):
        assert fuzzed.statuses[f"POST {page}", "positive", 200] > 0
        refused = {s for name, mode, s in fuzzed.statuses if page in name and mode == "negative"}
        assert {401, 422} <= refused <= {400, 401, 404, 415, 422, 429}
    log = service.log.read_text()
    assert "Traceback" not in log
    assert '"event": "failed"' not in log


def test_150_requests_made_from_the_document_are_answered_as_it_says(guarded: Service) -> None:
    _hold(fuzz(guarded, 150), guarded, 150)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_10_000_requests_made_from_the_document_are_answered_as_it_says(guarded: Service) -> None:
    fuzzed = fuzz(guarded, 10_000, number=1)
    for (page, mode, status), count in sorted(fuzzed.statuses.items()):
        print(f"{page:20} {mode:10} {status} {count}")
    _hold(fuzzed, guarded, 10_000)


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"]),
    path=st.one_of(st.sampled_from(["score", "outcomes", "metrics", "model", "readyz"]), WORDS),
    headers=st.dictionaries(
        st.sampled_from(["authorization", "x-api-key", "content-type", "x-request-id", "accept"]),
        WORDS,
    ),
    body=st.binary(max_size=200),
)
def test_whoever_has_no_key_gets_nothing_whatever_is_sent(
    guarded: Service, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    sent = {"authorization": "Bearer wrong", **headers}
    named = path.partition("?")[0]
    status, answer = guarded.call(method, "/" + path.replace("#", ""), body, **sent)
    open_pages = {"", "readyz", "livez", "healthz", "openapi.json", "docs.json"}
    if method == "GET" and named in open_pages:
        assert status == 200
    else:
        assert status in {400, 401, 404, 405, 429}
        assert method == "HEAD" or status == 400 or list(answer) == ["error"]
