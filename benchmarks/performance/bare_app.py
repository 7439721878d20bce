"""The reference of `score_cpu_ratio`: a bare Starlette app that looks up, decodes and scores.

It does what any service of this model must: parse the JSON, read the same feature sets from the
same store in one round trip, decode them as the pipeline does, and run the same cascade. It takes
the same quick ways: one joined read, columns in blocks, trees by their row-wise call.

It has nothing around that: no key, rate limit or metrics; no validation of request or answer; no
time budgets, breakers or fallbacks; no decision, reasons, log or repeats; no deployments to follow.
Run by `uvicorn --factory benchmarks.performance.bare_app:create_app`; the folder of the model comes
from the working directory's `bare_app.json`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from agora.serving.requests import Requests
from agora.settings import settings
from agora.stores.valkey import open_online
from agora.systems.fraud import SYSTEM

if TYPE_CHECKING:
    from starlette.requests import Request

CONFIGURATION = "bare_app.json"


def create_app() -> Starlette:
    """The app, with its model loaded and its store connected."""
    configuration = json.loads(Path(CONFIGURATION).read_text())
    pipeline = SYSTEM.load(Path(configuration["model"]))
    layout = Requests(SYSTEM).layout
    missing = dict.fromkeys(SYSTEM.request.model_fields)
    store = open_online(settings())
    ids = [SYSTEM.entities[each.entity] for each in layout.feature_sets]

    async def score(request: Request) -> JSONResponse:
        payment = {**missing, **await request.json()}
        payment["event_at"] = datetime.now(UTC)
        rows = store.read_request(layout.feature_sets, [payment[name] for name in ids])
        matrix = pipeline.decode(layout.columns(rows.values, rows.feature_at, payment, 0))
        return JSONResponse({"score": float(pipeline.infer(matrix).scores[0])})

    return Starlette(routes=[Route("/score", score, methods=["POST"])])
