"""Fields of a pydantic model: read from what a caller sent, checked, and as types of columns.

A `RequestError` names the field, nested ones with their path (`filters.price_min`), and the fix; it
never holds what the caller sent.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Literal, get_args

import polars as pl
from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Kind = Literal["string", "time", "number", "object"]
DTYPES: dict[Kind, pl.DataType] = {
    "string": pl.String(),
    "time": pl.Datetime("us", "UTC"),
    "number": pl.Float64(),
}
NESTED = {"integer": pl.Int64(), "boolean": pl.Boolean(), "number": pl.Float64()}
"""Inside lists and objects numbers keep their type, as they do in JSON."""
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
Path = tuple[str | int, ...]


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


class Fields:
    """Reads one model from JSON or from fields.

    Attributes:
        model: The model.
        dtypes: Type of each field's column; lists and objects are nested types.
        kinds: Kind of each field's column.
    """

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model
        schema = model.model_json_schema()
        definitions = schema.get("$defs", {})
        self.dtypes = {
            name: _dtype(name, each, definitions) for name, each in schema["properties"].items()
        }
        self.kinds = {name: _kind(dtype) for name, dtype in self.dtypes.items()}
        self.strings, self.times, self.numbers, self.objects = (
            tuple(name for name, found in self.kinds.items() if found == kind)
            for kind in get_args(Kind)
        )

    def parse(self, body: bytes) -> BaseModel:
        """The model from its JSON."""
        try:
            request = self.model.model_validate_json(body, strict=True)
        except ValidationError as error:
            raise self._mend(error) from None
        return self._checked(request)

    def check(self, fields: Mapping[str, Any] | BaseModel) -> BaseModel:
        """The model from its fields."""
        try:
            request = self.model.model_validate(fields)
        except ValidationError as error:
            raise self._mend(error) from None
        return self._checked(request)

    def _checked(self, request: BaseModel) -> BaseModel:
        fields = request.__dict__
        for name in self.strings:
            value = fields[name]
            if value is not None and "\0" in value:
                raise _fault(name, value)
        for name in self.numbers:
            value = fields[name]
            if value is not None and not math.isfinite(value):
                raise _fault(name, value)
        for name in self.objects:
            for place, value in _leaves(fields[name], (name,)):
                if (isinstance(value, str) and "\0" in value) or (
                    isinstance(value, float) and not math.isfinite(value)
                ):
                    raise _fault(_path(place), value)
        return request

    def _mend(self, error: ValidationError) -> RequestError:
        # Neither the input nor a validator's own words: both may repeat what the caller sent.
        found = error.errors(include_input=False, include_context=False, include_url=False)[0]
        kind, place = found["type"], found["loc"]
        if kind == "json_invalid":
            return RequestError("", "is not valid JSON", "Send one JSON object.", status=400)
        if not place:
            fix = f"Send one JSON object with {', '.join(self.kinds)}."
            return RequestError("", "is not a JSON object", fix)
        if self.kinds.get(str(place[0])) != "object":
            place = place[:1]
        if kind == "extra_forbidden":
            last = str(place[-1])
            shown = _path((*place[:-1], last if NAME.fullmatch(last) else "(unknown)"))
            known = ", ".join(_model_at(self.model, place[:-1]).model_fields)
            return RequestError(shown, "is not a field of this request", f"Send only {known}.")
        message = "is not valid" if kind in {"value_error", "assertion_error"} else found["msg"]
        fix = self._fix(place, kind)
        return RequestError(_path(place), message[:1].lower() + message[1:], fix)

    def _fix(self, place: Path, kind: str) -> str:
        at = max(number for number, part in enumerate(place) if isinstance(part, str))
        field = _model_at(self.model, place[:at]).model_fields[str(place[at])]
        described = field.description or "see the OpenAPI document"
        return f"{'Add' if kind == 'missing' else 'Correct'} {_path(place)}: {described}"


def plain(value: Any) -> Any:
    """Models and tuples as dictionaries and lists, as rows of a batch hold them."""
    if isinstance(value, BaseModel):
        return {name: plain(each) for name, each in value.__dict__.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


def _fault(field: str, value: Any) -> RequestError:
    if isinstance(value, str):
        return RequestError(field, "holds a null character", "Send text without it.")
    return RequestError(field, "is not a finite number", "Send a finite number.")


def _leaves(value: Any, place: Path) -> Iterator[tuple[Path, Any]]:
    """Every value that holds no others, with its path."""
    inside: Sequence[tuple[str | int, Any]] | None = None
    if isinstance(value, BaseModel):
        inside = list(value.__dict__.items())
    elif isinstance(value, (list, tuple)):
        inside = list(enumerate(value))
    if inside is None:
        yield place, value
        return
    for name, each in inside:
        yield from _leaves(each, (*place, name))


def _path(place: Path) -> str:
    return ".".join(map(str, place))


def _model_at(model: type[BaseModel], place: Path) -> type[BaseModel]:
    """The model that the field at a path is of; list positions lead to the list's items."""
    for part in place:
        if isinstance(part, str):
            model = next(_models(model.model_fields[part].annotation))
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _kind(dtype: pl.DataType) -> Kind:
    return next((kind for kind, known in DTYPES.items() if known == dtype), "object")


def _dtype(
    name: str, schema: Mapping[str, Any], definitions: Mapping[str, Any], *, nested: bool = False
) -> pl.DataType:
    """Type of a column, from the field's JSON schema."""
    choices = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    if len(choices) == 1:
        shown = choices[0]
        if "$ref" in shown:
            shown = definitions[shown["$ref"].rpartition("/")[2]]
        match shown.get("type"), shown.get("format"):
            case "string", "date-time":
                return DTYPES["time"]
            case "string", _:
                return DTYPES["string"]
            case ("number" | "integer" | "boolean") as kind, _:
                return NESTED[kind] if nested else DTYPES["number"]
            case "array", _ if "items" in shown:
                return pl.List(_dtype(name, shown["items"], definitions, nested=True))
            case "object", _ if shown.get("properties"):
                return pl.Struct(
                    {
                        field: _dtype(f"{name}.{field}", each, definitions, nested=True)
                        for field, each in shown["properties"].items()
                    }
                )
    raise TypeError(
        f"{name}: a request field is text, a number, a truth value, a time, or a list or an object "
        "of named fields of these"
    )
