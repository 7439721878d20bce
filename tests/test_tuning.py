from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from agora.tuning import Budget, OneOf, Real, Tuned, Whole, tune

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPACE = {"rate": Real(1e-4, 1.0, log=True), "leaves": Whole(2, 64), "kind": OneOf(("a", "b"))}
START = {"rate": 0.9, "leaves": 60, "kind": "a"}


def objective(values: dict[str, float]) -> float:
    """Greatest, nought, at a rate of .1, 8 leaves and kind b."""
    import math

    distance = abs(math.log10(values["rate"]) + 1) + abs(values["leaves"] - 8) / 20
    return -distance - (values["kind"] == "a")


def counted(calls: list[dict[str, float]]) -> Callable[[dict[str, float]], float]:
    def count(values: dict[str, float]) -> float:
        calls.append(values)
        return objective(values)

    return count


def hanging(last: int) -> Callable[[dict[str, float]], float]:
    """Says when it is called; its last call waits to be killed."""
    calls: list[dict[str, float]] = []

    def call(values: dict[str, float]) -> float:
        calls.append(values)
        print("x", flush=True)
        if len(calls) == last:
            time.sleep(600)
        return objective(values)

    return call


def test_a_search_comes_close_to_the_best_values() -> None:
    found = tune(objective, SPACE, START, Budget(60))
    assert found.value > -0.6 > found.first == objective(START)
    assert found.values["kind"] == "b"
    assert found.value == objective(found.values)


def test_the_values_in_use_are_tried_first_so_nothing_is_lost() -> None:
    calls: list[dict[str, float]] = []
    best = {"rate": 0.1, "leaves": 8, "kind": "b"}
    found = tune(counted(calls), SPACE, best, Budget(3))
    assert calls[0] == best
    assert found == Tuned(best, 0.0, 0.0, 3)


def test_equal_seeds_make_equal_trials_and_others_do_not() -> None:
    runs: list[list[dict[str, float]]] = [[], [], []]
    for calls, seed in zip(runs, (0, 0, 1), strict=True):
        tune(counted(calls), SPACE, START, Budget(8), seed=seed)
    assert runs[0] == runs[1] != runs[2]


def test_a_search_ends_after_its_trials_or_its_seconds() -> None:
    calls: list[dict[str, float]] = []
    assert tune(counted(calls), SPACE, START, Budget(5)).trials == len(calls) == 5

    def slow(values: dict[str, float]) -> float:
        time.sleep(0.2)
        return objective(values)

    started = time.monotonic()
    assert tune(slow, SPACE, START, Budget(1_000, seconds=0.5)).trials < 10
    assert time.monotonic() - started < 10


def test_a_killed_search_goes_on_and_repeats_no_trial(tmp_path: Path) -> None:
    storage = tmp_path / "searches" / "trials.db"
    code = (
        "import sys; from pathlib import Path; from agora.tuning import Budget, tune;"
        "from tests.test_tuning import SPACE, START, hanging;"
        "tune(hanging(4), SPACE, START, Budget(1_000), storage=Path(sys.argv[1]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(storage)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(4)] == ["x\n"] * 4
    process.send_signal(signal.SIGKILL)
    process.wait()
    calls: list[dict[str, float]] = []
    found = tune(counted(calls), SPACE, START, Budget(12), storage=storage)
    assert found.trials == 12
    assert len(calls) == 9, "three had ended"
    assert START not in calls
    assert len({str(values) for values in calls}) == len(calls)
    assert found.first == objective(START)
    calls.clear()
    assert tune(counted(calls), SPACE, START, Budget(12), storage=storage) == found
    assert not calls


def test_a_start_outside_the_space_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\['leaves'\]"):
        tune(objective, SPACE, {"rate": 0.1, "kind": "a"}, Budget(1))
