"""Requests: from what a caller sent to a validated request, and from there to columns.

One codec per system, made from its request model. A `RequestError` names the field and the fix, and
never holds what the caller sent.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from pydantic import BaseModel, ValidationError

from agora.columns import RequestLayout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agora.features import Entity
    from agora.system import System

Kind = Literal["string", "time", "number"]
DTYPES: dict[Kind, pl.DataType] = {
    "string": pl.String(),
    "time": pl.Datetime("us", "UTC"),
    "number": pl.Float64(),
}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class RequestError(ValueError):
    """A request that cannot be answered, and how to mend it.

    Attributes:
        field: Field at fault; empty when it is the body as a whole.
        message: What is wrong with it, without its value.
        fix: What to send instead.
        status: HTTP status that fits.
    """

    def __init__(self, field: str, message: str, fix: str, status: int = 422) -> None:
        super().__init__(f"{field or 'body'}: {message}")
        self.field = field
        self.message = message
        self.fix = fix
        self.status = status


class Requests:
    """Reads requests of one system.

    The first field of the request model is its id. `event_at`, where the model has it, is the time
    that features are read as of; else that is now.

    Attributes:
        model: The request model.
        kinds: Kind of each field's column.
        id_field: The request's id.
        layout: Where a request's columns are found.
    """

    def __init__(self, system: System) -> None:
        self.model = system.request
        self.entities: Mapping[Entity, str] = system.entities
        self.kinds = {
            name: _kind(name, schema)
            for name, schema in self.model.model_json_schema()["properties"].items()
        }
        self.id_field = next(iter(self.kinds))
        self._strings, self._numbers, times = (
            tuple(name for name, found in self.kinds.items() if found == kind)
            for kind in ("string", "number", "time")
        )
        self.layout = RequestLayout(system.feature_sets, self._strings, self._numbers, times)

    def parse(self, body: bytes) -> BaseModel:
        """A request from its JSON."""
        try:
            request = self.model.model_validate_json(body, strict=True)
        except ValidationError as error:
            raise self._mend(error) from None
        return self._checked(request)

    def check(self, fields: Mapping[str, Any] | BaseModel) -> BaseModel:
        """A request from its fields."""
        try:
            request = self.model.model_validate(fields)
        except ValidationError as error:
            raise self._mend(error) from None
        return self._checked(request)

    def cast(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Batch rows with the same columns and types as single requests, and `event_at`."""
        kinds: dict[str, Kind] = {**self.kinds, "event_at": "time"}
        missing = sorted(kinds.keys() - set(frame.columns))
        if missing:
            raise RequestError(missing[0], "the column is missing", f"Add {', '.join(missing)}.")
        return frame.select(pl.col(name).cast(DTYPES[kind]) for name, kind in kinds.items())

    def _checked(self, request: BaseModel) -> BaseModel:
        fields = request.__dict__
        for name in self._strings:
            value = fields[name]
            if value is not None and "\0" in value:
                raise RequestError(name, "holds a null character", "Send text without it.")
        for name in self._numbers:
            value = fields[name]
            if value is not None and not math.isfinite(value):
                raise RequestError(name, "is not a finite number", "Send a finite number.")
        return request

    def _mend(self, error: ValidationError) -> RequestError:
        # Neither the input nor a validator's own words: both may repeat what the caller sent.
        found = error.errors(include_input=False, include_context=False, include_url=False)[0]
        kind = found["type"]
        if kind == "json_invalid":
            return RequestError("", "is not valid JSON", "Send one JSON object.", status=400)
        if not found["loc"]:
            fix = f"Send one JSON object with {', '.join(self.kinds)}."
            return RequestError("", "is not a JSON object", fix)
        field = str(found["loc"][0])
        if kind == "extra_forbidden":
            shown = field if NAME.fullmatch(field) else "(unknown)"
            return RequestError(
                shown, "is not a field of this request", f"Send only {', '.join(self.kinds)}."
            )
        message = "is not valid" if kind in {"value_error", "assertion_error"} else found["msg"]
        return RequestError(field, message[:1].lower() + message[1:], self._fix(field, kind))

    def _fix(self, field: str, kind: str) -> str:
        described = self.model.model_fields[field].description or "see the OpenAPI document"
        return f"{'Add' if kind == 'missing' else 'Correct'} {field}: {described}"


def _kind(name: str, schema: Mapping[str, Any]) -> Kind:
    """Kind of a column, from the field's JSON schema."""
    choices = schema.get("anyOf", [schema])
    shown = next(choice for choice in choices if choice.get("type") != "null")
    match shown.get("type"), shown.get("format"):
        case "string", "date-time":
            return "time"
        case "string", _:
            return "string"
        case "number" | "integer" | "boolean", _:
            return "number"
    raise TypeError(f"{name}: a request field is text, a number, a truth value or a time")
