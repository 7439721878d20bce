"""The OpenAPI document of a service, from the system's own models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic.json_schema import models_json_schema

from agora.serving.pages import pages_of, schema_of
from agora.stores.keys import ROLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agora.system import Page, System

REFERENCE = "#/components/schemas/{model}"
# JSON text may hold the null character; no id or code of ours does.
WITHOUT_NULL = r"^[^\u0000]*$"
TEXT, TRUTH = {"type": "string"}, {"type": "boolean"}
NAMES = {"type": "array", "items": TEXT}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


ERROR = _object(
    error=_object(
        field={**TEXT, "description": "Field at fault; empty for the request as a whole."},
        message={**TEXT, "description": "What is wrong, without the value."},
        fix={**TEXT, "description": "What to do instead."},
    )
)
READY = _object(
    ready=TRUTH,
    missing={**NAMES, "description": "What it cannot answer without."},
    degraded={**NAMES, "description": "What its answers lack."},
)
KEPT = _object(
    outcome_id={**TEXT, "description": "Id that it is known by; the same for a revision."},
    is_new={**TRUTH, "description": "False when it was reported before with the same words."},
)
MODEL = {"type": "object", "required": ["system", "version"]}
SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key of `agora keys create`."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same."},
}
REFUSALS = {
    400: "The body is not JSON.",
    401: "The API key is missing, unknown, expired or revoked.",
    403: "The key's role may not do this.",
    404: "There is no such thing.",
    413: "The body is too large.",
    415: "The body is not declared as JSON.",
    422: "A field is missing, unknown or wrong.",
    429: "The key sends too many requests, or the address too many wrong keys.",
    500: "The service failed; nothing was answered.",
    503: "What must be kept could not be written, so nothing was answered.",
}
GUARDED = (401, 403, 429)
BODIED = (400, 413, 415, 422, 503)


def openapi(system: System) -> dict[str, Any]:
    """The document that the service publishes at /openapi.json."""
    models: list[Any] = [(system.request, "validation"), (system.response, "serialization")]
    if system.report is not None:
        models.append((system.report, "validation"))
    pages = pages_of(system)
    answers: list[Any] = [(page.response, "serialization") for page in pages]
    chosen, definitions = models_json_schema(
        [*models, *(each for each in answers if each not in models)], ref_template=REFERENCE
    )
    schemas = {**definitions["$defs"], "Error": ERROR}
    for model, mode in models:
        if mode == "validation":
            _sent(model.__name__, schemas)
    schemas[system.request.__name__]["examples"] = [dict(each) for each in system.golden]
    request, answer = (chosen[model] for model in models[:2])
    paths = {
        system.path: _post("score", system.decision, request, "The answer.", answer, BODIED),
        "/model": _get("model", "What is served.", "The model that answers.", MODEL, right="model"),
        "/metrics": _get(
            "metrics",
            "Counts for Prometheus.",
            "Metrics.",
            TEXT,
            right="metrics",
            kind="text/plain",
        ),
        "/livez": _get("livez", "Whether the process lives.", "It does.", _object(alive=TRUTH)),
        "/readyz": _get("readyz", "Whether it can answer.", "It can.", READY),
        "/openapi.json": _get("openapi", "This document.", "It.", {"type": "object"}),
        "/": _get("first", "What is here.", "The pages.", _object(system=TEXT, pages={})),
    }
    paths["/readyz"]["get"]["responses"]["503"] = _response("It cannot.", READY)
    if system.report is not None:
        reported = chosen[models[2]]
        summary = "Report what became of a past request."
        paths["/outcomes"] = _post(
            "outcomes", summary, reported, "It is kept.", KEPT, (*BODIED, 404)
        )
    for page in pages:
        paths[page.path] = _page(page, chosen[page.response, "serialization"])
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Agora: {system.name}", "version": "1", "description": system.decision},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": SCHEMES},
    }


def _post(
    right: str, summary: str, body: Any, said: str, answer: Any, refusals: Iterable[int]
) -> dict[str, Any]:
    operation = _operation(right, summary, right)
    operation["requestBody"] = {"required": True, "content": _content(body)}
    operation["responses"]["200"] = _response(said, answer)
    operation["responses"] |= {str(status): _refusal(status) for status in refusals}
    return {"post": operation}


def _get(
    name: str, summary: str, said: str, answer: Any, *, right: str = "",
    kind: str = "application/json",
) -> dict[str, Any]:  # fmt: skip
    operation = _operation(name, summary, right)
    operation["responses"]["200"] = _response(said, answer, kind)
    return {"get": operation}


def _page(page: Page, answer: Any) -> dict[str, Any]:
    found = _get(page.path.strip("/"), page.summary, "The answer.", answer, right="score")
    found["get"]["parameters"] = schema_of(page)
    for parameter in found["get"]["parameters"]:
        _without_null(parameter["schema"])
    found["get"]["responses"] |= {"404": _refusal(404), "422": _refusal(422)}
    return found


def _operation(name: str, summary: str, right: str) -> dict[str, Any]:
    responses = {str(status): _refusal(status) for status in (GUARDED if right else ())}
    responses["500"] = _refusal(500)
    operation: dict[str, Any] = {"operationId": name, "summary": summary, "responses": responses}
    if right:
        roles = ", ".join(role for role, each in ROLES.items() if right in each.rights)
        operation |= {
            "security": [{scheme: []} for scheme in SCHEMES],
            "description": f"Needs a key of one of the roles {roles}.",
        }
    return operation


def _response(said: str, schema: Any, kind: str = "application/json") -> dict[str, Any]:
    number = {"schema": TEXT, "description": "Names this request in the service's log."}
    return {
        "description": said,
        "headers": {"X-Request-Id": number},
        "content": _content(schema, kind),
    }


def _refusal(status: int) -> dict[str, Any]:
    response = _response(REFUSALS[status], {"$ref": REFERENCE.format(model="Error")})
    if status == 429:
        seconds = {"schema": {"type": "integer"}, "description": "Seconds to wait."}
        response["headers"] = {**response["headers"], "Retry-After": seconds}
    return response


def _content(schema: Any, kind: str = "application/json") -> dict[str, Any]:
    return {kind: {"schema": schema}}


def _sent(name: str, schemas: dict[str, Any]) -> None:
    """Say of all texts in a model, and in those inside it, that the null character is refused."""
    waiting, seen = [name], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for schema in schemas[name].get("properties", {}).values():
            for place in _places(schema):
                _without_null(place)
                if "$ref" in place:
                    waiting.append(place["$ref"].rpartition("/")[2])


def _places(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    inside = [*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())]
    for each in inside:
        yield from _places(each)


def _without_null(schema: dict[str, Any]) -> None:
    for choice in schema.get("anyOf", [schema]):
        if choice.get("type") == "string" and not choice.keys() & {"pattern", "enum", "format"}:
            choice["pattern"] = WITHOUT_NULL
