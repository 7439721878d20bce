"""Further GET pages of a system, as it declares them: parameters read, answer checked.

A system whose lists are kept has one more, which gives the list of a key as it was made in batch.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from agora.serving.fields import Fields, RequestError
from agora.serving.gateway import Refusal
from agora.serving.precomputed import PATH, params_of
from agora.serving.predictor import OutputError
from agora.system import Page

if TYPE_CHECKING:
    from agora.serving.predictor import Predictor
    from agora.system import System

MOST_PARAMETERS = 50


def pages_of(system: System) -> tuple[Page, ...]:
    """Pages that the system declares, and the one of its kept lists."""
    items = system.items
    if items is None or items.keyed_by is None:
        return system.pages
    field = items.keyed_by

    def kept(predictor: Predictor, params: BaseModel) -> BaseModel:
        found = predictor.kept_list(getattr(params, field))
        if found is None:
            raise LookupError(field)
        return system.response.model_validate_json(found)

    summary = f"The list that was made in batch for a {field}."
    made = Page(
        path=PATH, summary=summary, params=params_of(system, items), response=system.response,
        answer=kept,
    )  # fmt: skip
    return (*system.pages, made)


class Query:
    """Answers one page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._fields = Fields(page.params)

    def answer(self, predictor: Predictor, query: bytes) -> bytes:
        """The answer as JSON.

        Raises:
            RequestError: The parameters are not those of the page, or there is no such thing.
            OutputError: The page's answer does not fit its model.
        """
        params = self._fields.check(self._read(query))
        try:
            found = self.page.answer(predictor, params)
        except LookupError:
            message = "there is nothing under these parameters"
            raise Refusal(404, "nothing", message, "Ask for something else.") from None
        try:
            checked = self.page.response.model_validate(found)
        except ValidationError:
            # Not the error itself: it repeats values.
            name = self.page.response.__name__
            raise OutputError(f"{self.page.path}: its answer does not fit {name}") from None
        return checked.model_dump_json().encode()

    def _read(self, query: bytes) -> dict[str, Any]:
        try:
            pairs = parse_qsl(
                query.decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_PARAMETERS
            )
        except ValueError:
            known = ", ".join(self._fields.kinds)
            raise RequestError("", "has too many parameters", f"Send only {known}.") from None
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                shown = name if name in self._fields.kinds else ""
                raise RequestError(shown, "comes twice", "Send it once.")
            found[name] = value
        return found


def schema_of(page: Page) -> list[dict[str, Any]]:
    """The page's parameters as OpenAPI names them."""
    schema = page.params.model_json_schema()
    if "$defs" in schema:
        raise TypeError(f"{page.path}: parameters are text, numbers and truth values")
    required = schema.get("required", ())
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": each.get("description", ""),
            "schema": json.loads(json.dumps(each)),
        }
        for name, each in schema["properties"].items()
    ]
