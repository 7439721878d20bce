"""The fraud service: POST /score answers a payment; GET /model says what answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import bentoml  # noqa: TID253 - a bento is a BentoML service

from agora.serving import deep
from agora.serving.bento import baked_tag, open_live, options, settle
from agora.serving.http import Scoring, ScoringFirst
from agora.settings import settings
from agora.systems.fraud import SYSTEM
from agora.systems.fraud.routing import DEEP
from bentos.fraud import deep as apart

if TYPE_CHECKING:
    import numpy as np

scoring = Scoring(SYSTEM, settings())


@bentoml.service(name=SYSTEM.name, **options(settings()))
class Fraud:
    """Answers payments with the deployed version, or the one in the bento, or the champion."""

    if deep.is_apart(settings()):
        # By its module: BentoML takes every service in this one's names for one to serve.
        network = bentoml.depends(apart.FraudDeep)

    def __init__(self) -> None:
        tag = baked_tag(Path(__file__))
        baked = Path(bentoml.models.get(tag).path) if tag else None
        remotes = {DEEP: deep.remote(self._ask)} if deep.is_apart(settings()) else None
        scoring.live = open_live(
            SYSTEM, settings(), baked, observer=scoring.metrics, remotes=remotes
        )

    async def _ask(self, rows: np.ndarray) -> np.ndarray:
        # BentoML gives the dependency its methods only after this service was made.
        return await self.network.to_async.score(rows=rows)

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


Fraud.add_asgi_middleware(ScoringFirst, scoring=scoring)
