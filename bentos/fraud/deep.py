"""The deep tier of fraud as a service of its own: with a GPU, or by AGORA_DEEP=service."""

from __future__ import annotations

from pathlib import Path

import bentoml  # noqa: TID253 - a bento is a BentoML service
import numpy as np

from agora.serving import deep
from agora.serving.bento import baked_tag, options, settle
from agora.settings import settings
from agora.systems.fraud import SYSTEM
from agora.systems.fraud.routing import DEEP


@bentoml.service(name=f"{SYSTEM.name}_{DEEP}", **{**options(settings()), **deep.options()})
class FraudDeep:
    """Answers rows that the tiers before left open, many at once."""

    def __init__(self) -> None:
        tag = baked_tag(Path(__file__))
        baked = Path(bentoml.models.get(tag).path) if tag else None
        self._live = deep.open_tier(SYSTEM, settings(), baked)

    @bentoml.api(batchable=True, max_batch_size=deep.ROWS_AT_ONCE, max_latency_ms=deep.LATENCY_MS)
    def score(self, rows: np.ndarray) -> np.ndarray:
        """What the deep tier says of each row."""
        return deep.answer_rows(self._live.predictor.pipeline, DEEP, rows)

    @bentoml.on_startup
    def settle(self) -> None:
        """Prepare for steady traffic."""
        settle()

    @bentoml.on_shutdown
    def close(self) -> None:
        """Stop following deployments."""
        self._live.close()
