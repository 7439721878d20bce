"""HTTP over a `Live` model: the pages of one system's service, behind its gateway.

A plain ASGI middleware in front of BentoML's routing: it costs a small part of BentoML's own API
method, and a refusal is ours to word. An answer is computed on the event loop: it takes less than
handing it to a thread would.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from agora.serving import logs
from agora.serving.gateway import Gateway, Refusal, request_id_of
from agora.serving.health import ALIVE, Health
from agora.serving.metrics import CONTENT_TYPE, Metrics, model_facts
from agora.serving.openapi import openapi
from agora.serving.outcomes import Outcomes
from agora.serving.pages import Query, pages_of
from agora.serving.predictor import OutputError
from agora.serving.requests import RequestError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    from prometheus_client.core import Metric

    from agora.serving.live import Live
    from agora.settings import Settings
    from agora.system import System

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]

logger = logging.getLogger(__name__)
# A request is a few hundred bytes; nothing legitimate comes near.
BODY_LIMIT = 64 * 1024
JSON = b"application/json"
# Reasons of refusals that only their status tells.
REASONS = {400: "not_json", 413: "too_large", 415: "not_declared", 422: "invalid"}


class Asked(NamedTuple):
    """A request that passed the gateway."""

    headers: dict[bytes, bytes]
    receive: Receive
    caller: str
    request_id: str
    started: int
    query: bytes = b""


class Page(NamedTuple):
    """A page: its method, the right that it asks for (none: anybody), and what answers."""

    method: str
    right: str
    answer: Callable[[Asked], Awaitable[tuple[int, bytes]]]
    kind: bytes = JSON


class Scoring:
    """What one system answers over HTTP.

    Attributes:
        live: The model that answers; set when the service starts.
        metrics: Its counts; the observer of its Predictors.
    """

    live: Live

    def __init__(self, system: System, settings: Settings) -> None:
        self.metrics = Metrics(system.name)
        self._system = system
        self._log_folder = settings.prediction_log / system.name
        self._gateway = Gateway(settings)
        self._health = Health(self._log_folder)
        self._lines = logs.RequestLog(system.name)
        self._good = 0
        self._document = json.dumps(openapi(system)).encode()
        operator = "" if settings.metrics_open else "metrics"
        self._outcomes = Outcomes(system, system.report, settings) if system.report else None
        self._pages = {
            system.path: Page("POST", "score", self._score),
            "/model": Page("GET", "model", self._model),
            "/metrics": Page("GET", operator, self._metrics, CONTENT_TYPE),
            "/livez": Page("GET", "", self._alive),
            "/healthz": Page("GET", "", self._alive),
            "/readyz": Page("GET", "", self._ready),
            "/openapi.json": Page("GET", "", self._openapi),
            # BentoML's own pages of these names load a tracker from elsewhere.
            "/docs.json": Page("GET", "", self._openapi),
            "/": Page("GET", "", self._first),
        }
        if self._outcomes is not None:
            self._pages["/outcomes"] = Page("POST", "outcomes", self._report)
        for page in pages_of(system):
            answer = partial(self._lookup, Query(page))
            self._pages[page.path] = Page("GET", "score", answer)
        hidden = {"/healthz", "/docs.json", "/"}
        pages = {path: page.method for path, page in self._pages.items() if path not in hidden}
        self._index = json.dumps({"system": system.name, "pages": pages}).encode()
        self.metrics.show(self._facts)

    def open(self) -> None:
        """Prepare in the process that will answer."""
        logs.configure()
        self._gateway.open()
        if self._outcomes is not None:
            self._outcomes.open()

    def close(self) -> None:
        """Stop what `open` began."""
        if self._outcomes is not None:
            self._outcomes.close()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        started = time.perf_counter_ns()
        headers = dict(scope["headers"])
        request_id = request_id_of(headers.get(b"x-request-id"))
        caller, kind = "", JSON
        extra: tuple[tuple[bytes, bytes], ...] = ()
        try:
            page = self._pages.get(scope["path"])
            if page is None:
                raise Refusal(404, "page", "there is no such page", "See GET / for the pages.")
            if scope["method"] != page.method:
                allow = ((b"allow", page.method.encode()),)
                fix = f"Use {page.method}."
                raise Refusal(405, "method", "the method is not allowed", fix, headers=allow)
            if page.right:
                caller = self._gateway.admit(headers, scope.get("client"), page.right)
            query = scope.get("query_string", b"")
            asked = Asked(headers, receive, caller, request_id, started, query)
            status, body = await page.answer(asked)
            kind = page.kind
        except RequestError as error:
            status, body = error.status, _refusal(error.field, error.message, error.fix)
            reason = REASONS.get(status, "")
            if isinstance(error, Refusal):
                reason, extra = error.reason, error.headers
            self._count(status, reason, scope["path"], request_id, caller)
        except OutputError as error:
            logger.error("%s", error)
            status, body = 500, _failure("the model gave no valid answer")
            self._count(status, "output", scope["path"], request_id, caller)
        except Exception as error:
            # A traceback would repeat the request's values.
            logger.error("unexpected %s at %s", type(error).__name__, _place(error))
            status, body = 500, _failure("the service failed")
            self._count(status, "unexpected", scope["path"], request_id, caller)
        sent = [
            (b"content-type", kind), (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request_id.encode()), *extra,
        ]  # fmt: skip
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": body})

    async def _score(self, asked: Asked) -> tuple[int, bytes]:
        body = await read_json(asked)
        predictor = self.live.predictor
        request = predictor.requests.parse(body)
        try:
            spent = time.perf_counter_ns() - asked.started
            answer = await predictor.answer_async(request, asked.caller, spent)
        except OSError as error:
            logger.error("prediction log: %s", type(error).__name__)
            message = "the answer could not be logged"
            raise Refusal(503, "log", message, "Try again.") from None
        fallbacks = getattr(answer[0], "fallbacks", None)
        if fallbacks:
            self._lines.degraded(fallbacks, request_id=asked.request_id, caller=asked.caller)
        else:
            self._good += 1
            if self._good % logs.SAMPLED == 0:
                self._lines.answered(request_id=asked.request_id, caller=asked.caller)
        return 200, answer[1].encode()

    async def _lookup(self, query: Query, asked: Asked) -> tuple[int, bytes]:
        body = query.answer(self.live.predictor, asked.query)
        self.metrics.page(query.page.path, time.perf_counter_ns() - asked.started)
        return 200, body

    async def _report(self, asked: Asked) -> tuple[int, bytes]:
        body = await read_json(asked)
        outcomes = self._outcomes
        assert outcomes is not None, "the page exists only with it"
        try:
            outcome_id, is_new = await asyncio.to_thread(outcomes.take, body, asked.caller)
        except (OSError, sqlite3.Error) as error:
            logger.error("outcomes: %s", type(error).__name__)
            message = "the outcome could not be kept"
            raise Refusal(503, "inbox", message, "Try again.") from None
        self.metrics.outcome(is_new=is_new)
        return 200, json.dumps({"outcome_id": outcome_id, "is_new": is_new}).encode()

    async def _model(self, asked: Asked) -> tuple[int, bytes]:
        # It asks the store, which may hang.
        return 200, json.dumps(await asyncio.to_thread(self.live.describe)).encode()

    async def _metrics(self, asked: Asked) -> tuple[int, bytes]:
        return 200, self.metrics.text()

    async def _alive(self, asked: Asked) -> tuple[int, bytes]:
        return 200, ALIVE

    async def _ready(self, asked: Asked) -> tuple[int, bytes]:
        return await self._health.ready(getattr(self, "live", None))

    async def _openapi(self, asked: Asked) -> tuple[int, bytes]:
        return 200, self._document

    async def _first(self, asked: Asked) -> tuple[int, bytes]:
        return 200, self._index

    def _count(self, status: int, reason: str, path: str, request_id: str, caller: str) -> None:
        self.metrics.refused(status, reason)
        known = path if path in self._pages else "unknown"
        self._lines.refused(status, reason, path=known, request_id=request_id, caller=caller)

    def _facts(self) -> Iterable[Metric]:
        if hasattr(self, "live"):
            version = self.live.predictor.pipeline.version
            yield from model_facts(self._system.name, version, self._log_folder)


class ScoringFirst:
    """Middleware that answers every HTTP request; what is not HTTP is BentoML's."""

    def __init__(self, app: App, scoring: Scoring) -> None:
        self._app = app
        self._scoring = scoring

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer or pass on."""
        if scope["type"] == "http":
            await self._scoring(scope, receive, send)
            return
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        self._scoring.open()
        try:
            await self._app(scope, receive, send)
        finally:
            self._scoring.close()


async def read_json(asked: Asked) -> bytes:
    """The body, which must be declared as JSON and not be too large."""
    kind, _, _ = asked.headers.get(b"content-type", b"").partition(b";")
    if kind != JSON and kind.strip().lower() != JSON:
        fix = "Send the header Content-Type: application/json."
        raise RequestError("", "is not declared as JSON", fix, status=415)
    message = await asked.receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False) and len(body) <= BODY_LIMIT:
        message = await asked.receive()
        body += message.get("body", b"")
    if len(body) > BODY_LIMIT:
        raise RequestError("", "is too large", f"Send at most {BODY_LIMIT} bytes.", status=413)
    return body


def _failure(message: str) -> bytes:
    return _refusal("", message, "Report it with the response's X-Request-Id; then try again.")


def _refusal(field: str, message: str, fix: str) -> bytes:
    return json.dumps({"error": {"field": field, "message": message, "fix": fix}}).encode()


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "nowhere"
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
