"""A tier in a process of its own: what the service of the tier answers, and how it is asked.

Rows travel as one float64 matrix: the decoded row, then the score of the tier before. Back come
score, whether the row is open, and a mark of the version that answered: the two processes follow
the deployment each by itself, and for a moment may have two versions.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.cascade import Verdict
from agora.serving.live import Live
from agora.stores.online import MemoryOnlineStore
from agora.stores.predictions import MemoryPredictionLog
from agora.torch_training import has_gpu

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from agora.pipeline import Pipeline
    from agora.serving.tiers import Remote
    from agora.settings import Settings
    from agora.system import System

Array = np.ndarray[Any, Any]

ROWS_AT_ONCE = 256
# A batch waits for others at most so long; what would wait longer is refused, and falls back.
LATENCY_MS = 100
# By default BentoML's client changes its connections, and drops calls that are on them.
CONNECTION = {"max_requests": 10**9, "max_age": 1e9}


def is_apart(settings: Settings) -> bool:
    """Whether deep tiers run in a service of their own."""
    return settings.deep == "service" or (settings.deep == "auto" and has_gpu())


def options() -> dict[str, Any]:
    """Options of `bentoml.service` for a tier, on top of those of all services."""
    return {
        "resources": {"gpu": 1} if has_gpu() else {"cpu": "1"},
        "runner_connection": CONNECTION,
    }


def open_tier(system: System, settings: Settings, baked: Path | None) -> Live:
    """The model that a tier's service answers with; it follows deployments as the system's does."""
    live = Live(system, settings, MemoryOnlineStore(), MemoryPredictionLog(), baked=baked)
    live.start()
    return live


def answer_rows(pipeline: Pipeline, tier: str, rows: Array) -> Array:
    """What a tier says of rows, (n, 3): score, open, mark of the version."""
    (named,) = (each for each in pipeline.tiers if each.name == tier)
    verdict = named.score(rows[:, :-1], rows[:, -1])
    marks = np.full(len(rows), mark(pipeline.version))
    return np.column_stack([verdict.scores, verdict.is_open, marks])


def remote(ask: Callable[[Array], Awaitable[Array]]) -> Remote:
    """A tier that another process runs, as the cascade asks it.

    Args:
        ask: Sends rows to `answer_rows`.
    """

    async def score(matrix: Array, scores: Array, version: str) -> Verdict | None:
        found = np.asarray(await ask(np.column_stack([matrix, scores])))
        if found.shape != (len(matrix), 3) or (found[:, 2] != mark(version)).any():
            return None
        return Verdict(found[:, 0], found[:, 1] > 0)

    return score


def mark(version: str) -> float:
    """A number that stands for a version."""
    return float(zlib.crc32(version.encode()))
