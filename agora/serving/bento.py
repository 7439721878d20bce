"""What the bentos share: lean BentoML options, and opening and closing a system's live model."""

from __future__ import annotations

import gc
import json
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from agora.serving.live import Live
from agora.stores.predictions import FilePredictionLog
from agora.stores.valkey import open_online, revive_online

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agora.serving.observer import Observer
    from agora.serving.tiers import Remote
    from agora.settings import Settings
    from agora.system import System

MODEL_FILE = "model.json"
"""Beside a built bento's service.py: names the model in the BentoML store."""
TIMEOUT_SECONDS = 2.0
LOOKUP = "feature_lookup"
GC_THRESHOLDS = (50_000, 50, 50)
# Five milliseconds by default: a watched tier that gives way ten times would be late for that.
TURN_SECONDS = 5e-4


def options(settings: Settings) -> dict[str, Any]:
    """Options of `bentoml.service`: what costs CPU on each request is off.

    BentoML keeps every request alive until its timeout, so the timeout is short; tracing and the
    access log cost more than the whole answer; its metrics label unbounded paths.
    """
    return {
        "workers": 1,
        "http": {"host": settings.service_host, "port": settings.service_port},
        "tracing": {"excluded_urls": ".*"},
        "logging": {"access": {"enabled": False}},
        "metrics": {"enabled": False},
        "traffic": {"timeout": TIMEOUT_SECONDS},
    }


def baked_tag(service: Path) -> str | None:
    """Tag of the model that was built into the bento of this service file; None in development."""
    path = service.with_name(MODEL_FILE)
    return json.loads(path.read_text())["tag"] if path.exists() else None


def open_live(
    system: System,
    settings: Settings,
    baked: Path | None,
    *,
    observer: Observer | None = None,
    remotes: Mapping[str, Remote] | None = None,
) -> Live:
    """Connect a system's service to its store and log, load its model and follow deployments.

    Args:
        system: The system.
        settings: The instance.
        baked: Pipeline folder of the bento; None in development.
        observer: Is told of each answer.
        remotes: Tiers that another process runs, by name.
    """
    stages = system.budgets.stages_ms
    # The buffer is there to be used: a machine that stutters is no outage of the store.
    budget = stages[LOOKUP] + stages.get("buffer", 0.0)
    online = open_online(settings, timeout=budget * system.budgets.give_up / 1e3)
    log = FilePredictionLog(settings.prediction_log / system.name)
    live = Live(
        system, settings, online, log, baked=baked, observer=observer, remotes=remotes,
        revive=partial(revive_online, settings, online),
    )  # fmt: skip
    live.start()
    return live


def settle() -> None:
    """Take what lives for ever out of garbage collection, whose pauses are the p99."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(TURN_SECONDS)
