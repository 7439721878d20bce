"""Run the speed benchmarks: `python -m benchmarks.performance [NAME ...]`."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from typing import Any

from benchmarks.results import show, write

MODULES = (
    "definitions",
    "simulate",
    "ingest",
    "join",
    "online",
    "stream",
    "score",
    "memory",
    "retrieval",
    "recommend",
    "search",
)


def main(names: list[str]) -> int:
    """Run the named benchmarks, all when none is named."""
    unknown = sorted(set(names) - set(MODULES))
    if unknown:
        print(f"benchmark {unknown[0]!r}: choose from {', '.join(MODULES)}", file=sys.stderr)
        return 2
    rows: list[dict[str, Any]] = []
    for name in names or MODULES:
        print(f"measuring {name} ...", flush=True)
        rows += importlib.import_module(f"benchmarks.performance.{name}").run()
        write("performance", rows)
    cores = os.cpu_count()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    show(rows, f"Speed on {cores} cores, commit {commit.stdout.strip() or 'unknown'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
