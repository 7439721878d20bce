"""The demo's shoppers: simulated customers visit the deployed recommendation and search."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.demo.service import TrafficError, serving, tokens
from agora.simulator import client
from agora.simulator.traffic import Traffic
from agora.simulator.truth import HOME, SEARCH
from agora.simulator.world import load_world

if TYPE_CHECKING:
    from agora.settings import Settings

SURFACES = {"recommendation": HOME, "search": SEARCH}
RATE, SECONDS, SEED = 12.0, 8.0, 7


def visit(settings: Settings, project: Path) -> dict[str, Any]:
    """Let customers visit both services at once; what they do is landed and posted.

    Returns:
        Visits, requests, latencies, outcomes that the services took.

    Raises:
        TrafficError: A service did not start, or did not answer as it should.
    """
    world = load_world(settings.home / "truth")
    with ExitStack() as running:
        key = running.enter_context(tokens(settings))["app"]
        ports = {
            surface: running.enter_context(serving(settings, project, system))
            for system, surface in SURFACES.items()
        }
        services = {
            surface: client.Client(f"http://{settings.service_host}:{port}", key)
            for surface, port in ports.items()
        }
        traffic = Traffic(world, services, Path(settings.landing), True, RATE, SEED)
        report = traffic.run(SECONDS)
    if report.failed or report.refused:
        raise TrafficError(f"visits: {report.failed or report.refused}")
    return {
        "visits": report.sessions,
        "asked": report.asked,
        "outcomes": report.told,
        "p50_ms": round(float(np.quantile(report.milliseconds, 0.5)), 2),
        "p99_ms": round(float(np.quantile(report.milliseconds, 0.99)), 2),
    }
