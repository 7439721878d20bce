"""HTTP over a `Live` model: POST /score, GET /model, GET /openapi.json, and an index at /.

A plain ASGI middleware in front of BentoML's routing: it costs a small part of BentoML's own API
method, and a refusal is ours to word. The answer is computed on the event loop: it takes less than
handing it to a thread would.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from agora.serving.openapi import openapi
from agora.serving.predictor import OutputError
from agora.serving.requests import RequestError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from agora.serving.live import Live
    from agora.system import System

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]

logger = logging.getLogger(__name__)
# A request is a few hundred bytes; nothing legitimate comes near.
BODY_LIMIT = 64 * 1024
# The index and /docs.json hide BentoML's own page, which loads a tracker from elsewhere.
METHODS = {
    "/score": "POST", "/model": "GET", "/openapi.json": "GET", "/docs.json": "GET", "/": "GET"
}  # fmt: skip
JSON_HEADER = (b"content-type", b"application/json")


class Scoring:
    """What one system answers over HTTP.

    Attributes:
        live: The model that answers; set when the service starts.
    """

    live: Live

    def __init__(self, system: System) -> None:
        self._document = json.dumps(openapi(system)).encode()
        pages = {path: METHODS[path] for path in ("/score", "/model", "/openapi.json")}
        self._index = json.dumps({"system": system.name, "pages": pages}).encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one HTTP request to one of our pages."""
        path, headers = scope["path"], [JSON_HEADER]
        if scope["method"] != METHODS[path]:
            status, body = 405, _refusal("", "the method is not allowed", f"Use {METHODS[path]}.")
            headers.append((b"allow", METHODS[path].encode()))
        elif path == "/score":
            status, body = await self._score(scope, receive)
        elif path == "/model":
            status, body = 200, json.dumps(self.live.describe()).encode()
        elif path == "/":
            status, body = 200, self._index
        else:
            status, body = 200, self._document
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _score(self, scope: Message, receive: Receive) -> tuple[int, bytes]:
        try:
            _check_headers(scope["headers"])
            body = await _read(receive)
            predictor = self.live.predictor
            return 200, predictor.answer(predictor.requests.parse(body))[1].encode()
        except RequestError as error:
            return error.status, _refusal(error.field, error.message, error.fix)
        except OutputError as error:
            logger.error("%s", error)
            return 500, _refusal("", "the model gave no valid answer", "Report it; then try again.")
        except OSError as error:
            logger.error("prediction log: %s", type(error).__name__)
            return 503, _refusal("", "the answer could not be logged", "Try again.")
        except Exception as error:
            # A traceback would repeat the request's values.
            logger.error("unexpected %s at %s", type(error).__name__, _place(error))
            return 500, _refusal("", "the service failed", "Report it; then try again.")


class ScoringFirst:
    """Middleware that answers our pages and passes on every other request, as BentoML's probes."""

    def __init__(self, app: App, scoring: Scoring) -> None:
        self._app = app
        self._scoring = scoring

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer or pass on."""
        ours = scope["type"] == "http" and scope["path"] in METHODS
        await (self._scoring if ours else self._app)(scope, receive, send)


def _check_headers(headers: list[tuple[bytes, bytes]]) -> None:
    kind = b""
    for name, value in headers:
        if name == b"content-type":
            kind = value.partition(b";")[0].strip().lower()
        elif name == b"content-length" and int(value) > BODY_LIMIT:
            raise _too_large()
    if kind != b"application/json":
        fix = "Send the header Content-Type: application/json."
        raise RequestError("", "is not declared as JSON", fix, status=415)


async def _read(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT:
            raise _too_large()
    if len(body) > BODY_LIMIT:
        raise _too_large()
    return body


def _too_large() -> RequestError:
    return RequestError("", "is too large", f"Send at most {BODY_LIMIT} bytes.", status=413)


def _refusal(field: str, message: str, fix: str) -> bytes:
    return json.dumps({"error": {"field": field, "message": message, "fix": fix}}).encode()


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "nowhere"
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
