"""How long the simulator takes for 1M payments with all that belongs to them, files included."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from agora.simulator import Params, simulate
from benchmarks.results import show

PAYMENTS = 1_000_000
TARGET_SECONDS = 30.0
TARGET_GIGABYTES = 4.0
PARAMS = Params(days=100, payments_per_day=PAYMENTS // 100, customers=20_000, merchants=3_000)


def run() -> list[dict[str, Any]]:
    """Measure in a process of its own, so that neither time nor memory of others counts."""
    command = [sys.executable, "-m", "benchmarks.performance.simulate", "--measure"]
    measured = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    seconds, gigabytes = (float(value) for value in measured)
    return [
        _row("payments_1m_seconds", seconds, TARGET_SECONDS, "s"),
        _row("payments_1m_gigabytes", gigabytes, TARGET_GIGABYTES, "GB"),
    ]


def measure() -> tuple[float, float]:
    """CPU seconds over all threads, so that it holds for one core, and peak memory in GB."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        summary = simulate(PARAMS, Path(folder) / "landing", Path(folder) / "truth")
        seconds = time.process_time() - started
    if summary.payments != PAYMENTS:
        raise RuntimeError(f"{summary.payments} payments instead of {PAYMENTS}")
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def _row(metric: str, value: float, target: float, unit: str) -> dict[str, Any]:
    return {
        "benchmark": "simulate",
        "system": "simulator",
        "metric": metric,
        "value": round(value, 3),
        "target": target,
        "reference": "CPU of all threads, files written",
        "unit": unit,
        "met": value <= target,
    }


if __name__ == "__main__":
    if "--measure" in sys.argv:
        print(*measure())
    else:
        show(run(), "Simulator")
