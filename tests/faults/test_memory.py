"""A service does not grow with the requests that it answers."""

from __future__ import annotations

import pytest

from benchmarks.performance import memory

# A kilobyte kept for each request would be twice as much.
GROWTH_MB = 8.0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_service_keeps_nothing_of_the_requests_that_it_answered() -> None:
    rows = memory.run(requests=22_000, warm_up=6_000, part=8_000)
    measured = {row["metric"]: row["value"] for row in rows}
    assert measured["service_memory_growth_mb"] < GROWTH_MB, measured
