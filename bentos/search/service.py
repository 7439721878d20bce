"""The search service: POST /search answers a query, GET /suggest goes on with one."""

from __future__ import annotations

from pathlib import Path

import bentoml  # noqa: TID253 - a bento is a BentoML service

from agora.serving.bento import baked_tag, open_live, options, settle
from agora.serving.http import Scoring, ScoringFirst
from agora.settings import settings
from agora.systems.search import SYSTEM

scoring = Scoring(SYSTEM, settings())


@bentoml.service(name=SYSTEM.name, **options(settings()))
class Search:
    """Answers queries with the deployed version, or the one in the bento, or the champion."""

    def __init__(self) -> None:
        tag = baked_tag(Path(__file__))
        baked = Path(bentoml.models.get(tag).path) if tag else None
        scoring.live = open_live(SYSTEM, settings(), baked, observer=scoring.metrics)

    @bentoml.on_startup
    def settle(self) -> None:
        """Prepare for steady traffic."""
        settle()

    @bentoml.on_shutdown
    def close(self) -> None:
        """Finish the log."""
        scoring.live.close()

    def __is_ready__(self) -> bool:
        return hasattr(scoring, "live")


Search.add_asgi_middleware(ScoringFirst, scoring=scoring)
