"""Requests made by schemathesis from a service's own OpenAPI document, and what came of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from requests import Session
from schemathesis.checks import not_a_server_error
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

if TYPE_CHECKING:
    from tests.bentos.services import Service

CHECKS = (
    not_a_server_error, status_code_conformance, content_type_conformance,
    response_headers_conformance, response_schema_conformance,
)  # fmt: skip


@dataclass
class Fuzzed:
    """Requests by what was asked and answered."""

    statuses: Counter[tuple[str, str, int]] = field(default_factory=Counter)

    @property
    def requests(self) -> int:
        return self.statuses.total()


def fuzz(service: Service, requests: int, *, number: int = 0) -> Fuzzed:
    """Send requests that fit the document and requests that do not, nearly all with a body.

    What does not fit must be refused, and every answer must be as the document says: raises at the
    first that is not.
    """
    status, document = service.call("GET", "/openapi.json")
    assert status == 200
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=f"http://127.0.0.1:{service.port}")
    operations = [found.ok() for found in schema.get_all_operations()]
    bodied = [operation for operation in operations if operation.body]
    fuzzed = Fuzzed()
    with Session() as session:
        for operation in operations:
            if not operation.body:
                _fuzz_one(service, operation, GenerationMode.POSITIVE, 1, number, fuzzed, session)
        while (left := requests - fuzzed.requests) > 0:
            each = left // (2 * len(bodied)) + 1
            for operation, mode in product(bodied, GenerationMode):
                _fuzz_one(service, operation, mode, each, number, fuzzed, session)
            number += 1
    return fuzzed


def _fuzz_one(
    service: Service, operation: Any, mode: GenerationMode, count: int, number: int,
    fuzzed: Fuzzed, session: Session,
) -> None:  # fmt: skip
    strategy = operation.as_strategy(generation_mode=mode)
    checks = [*CHECKS, *([negative_data_rejection] if mode is GenerationMode.NEGATIVE else [])]
    token = service.tokens["analyst" if operation.body else "operator"]

    @seed(number)
    @settings(
        max_examples=count, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=strategy)
    def run(case: Any) -> None:
        # Where the headers are what is wrong, they are sent as they are: without a key.
        body = case.meta.components.get(ParameterLocation.BODY)
        named = mode is GenerationMode.POSITIVE or (body is not None and body.mode is mode)
        headers = {"Authorization": f"Bearer {token}"} if named else None
        response = case.call(session=session, headers=headers)
        fuzzed.statuses[operation.label, mode.value, response.status_code] += 1
        case.validate_response(response, checks=checks)
        assert "Traceback" not in response.text

    run()
