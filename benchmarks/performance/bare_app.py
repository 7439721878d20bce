"""The reference of `score_cpu_ratio`: a bare Starlette app that looks up and scores, and no more.

It reads the same feature sets from the same store in one round trip and scores with the same trees.
It does not validate, decode, decide, explain, log or follow deployments.
Run by `uvicorn --factory benchmarks.performance.bare_app:create_app`; the folder of the model comes
from the working directory's `bare_app.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from agora.settings import settings
from agora.stores.valkey import open_online
from agora.systems.fraud import SYSTEM

if TYPE_CHECKING:
    from starlette.requests import Request

CONFIGURATION = "bare_app.json"


def create_app() -> Starlette:
    """The app, with its model loaded and its store connected."""
    configuration = json.loads(Path(CONFIGURATION).read_text())
    boosters = SYSTEM.load(Path(configuration["model"])).boosters_
    width = boosters.boosters[0].num_feature()
    store = open_online(settings())
    sets = [(each, SYSTEM.entities[each.entity]) for each in SYSTEM.feature_sets]

    async def score(request: Request) -> JSONResponse:
        payment = await request.json()
        rows = store.read([(each, (payment.get(column),)) for each, column in sets])
        values = np.concatenate([row.values[0] for row in rows])
        return JSONResponse({"score": float(boosters.raw(np.resize(values, (1, width)))[0])})

    return Starlette(routes=[Route("/score", score, methods=["POST"])])
