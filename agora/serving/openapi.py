"""The OpenAPI document of a service, from the system's own request and response models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic.json_schema import models_json_schema

if TYPE_CHECKING:
    from agora.system import System

REFERENCE = "#/components/schemas/{model}"
# JSON text may hold the null character; no id or code of ours does.
WITHOUT_NULL = r"^[^\u0000]*$"
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["field", "message", "fix"],
            "properties": {
                "field": {"type": "string", "description": "Field at fault; empty for the body."},
                "message": {"type": "string", "description": "What is wrong, without the value."},
                "fix": {"type": "string", "description": "What to send instead."},
            },
        }
    },
}
REFUSALS = {
    400: "The body is not JSON.",
    413: "The body is too large.",
    415: "The body is not declared as JSON.",
    422: "A field is missing, unknown or wrong.",
    500: "The model gave no valid answer.",
    503: "The answer could not be logged, so it was not given.",
}


def openapi(system: System) -> dict[str, Any]:
    """The document that the service publishes at /openapi.json."""
    chosen, definitions = models_json_schema(
        [(system.request, "validation"), (system.response, "serialization")],
        ref_template=REFERENCE,
    )
    schemas = {**definitions["$defs"], "Error": ERROR}
    for schema in schemas[system.request.__name__]["properties"].values():
        _without_null(schema)
    request, response = (
        chosen[system.request, "validation"],
        chosen[system.response, "serialization"],
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Agora: {system.name}", "version": "1", "description": system.decision},
        "paths": {
            "/score": {
                "post": {
                    "operationId": "score",
                    "summary": system.decision,
                    "requestBody": {"required": True, "content": _json(request)},
                    "responses": {
                        "200": {"description": "The answer.", "content": _json(response)},
                        **{
                            str(status): _refusal(description)
                            for status, description in REFUSALS.items()
                        },
                    },
                }
            },
            "/model": {
                "get": {
                    "operationId": "model",
                    "summary": "What is served.",
                    "responses": {
                        "200": {
                            "description": "The model that answers.",
                            "content": _json({"type": "object", "required": ["system", "version"]}),
                        }
                    },
                }
            },
        },
        "components": {"schemas": schemas},
    }


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _refusal(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": _json({"$ref": REFERENCE.format(model="Error")}),
    }


def _without_null(schema: dict[str, Any]) -> None:
    for choice in schema.get("anyOf", [schema]):
        if choice.get("type") == "string" and not choice.keys() & {"pattern", "enum", "format"}:
            choice["pattern"] = WITHOUT_NULL
