"""The ladder's service, whose deep tier runs in a process of its own; as bentos/fraud does it."""

from __future__ import annotations

import bentoml  # noqa: TID253 - a bento is a BentoML service
import numpy as np  # noqa: TC002 - BentoML reads annotations

from agora.serving import deep
from agora.serving.bento import open_live, options
from agora.serving.http import Scoring, ScoringFirst
from agora.settings import settings
from tests.serving.ladder import LADDER

scoring = Scoring(LADDER, settings())


@bentoml.service(name="toy_deep", **{**options(settings()), **deep.options()})
class ToyDeep:
    """The deep tier."""

    def __init__(self) -> None:
        self._live = deep.open_tier(LADDER, settings(), None)

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=deep.LATENCY_MS)
    def score(self, rows: np.ndarray) -> np.ndarray:
        """What the deep tier says of each row."""
        return deep.answer_rows(self._live.predictor.pipeline, "deep", rows)


@bentoml.service(name="toy", **options(settings()))
class Toy:
    """The system."""

    network = bentoml.depends(ToyDeep)

    def __init__(self) -> None:
        remotes = {"deep": deep.remote(self._ask)}
        scoring.live = open_live(LADDER, settings(), None, remotes=remotes)

    async def _ask(self, rows: np.ndarray) -> np.ndarray:
        return await self.network.to_async.score(rows=rows)

    def __is_ready__(self) -> bool:
        return hasattr(scoring, "live")


Toy.add_asgi_middleware(ScoringFirst, scoring=scoring)
