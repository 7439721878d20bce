"""A cascade in a service: what fails or is late is given up, and the rung before it answers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from agora.cascade import Verdict
from agora.serving import Predictor
from agora.serving.breakers import FAILURES, PAUSE_SECONDS
from agora.stores.online import MemoryOnlineStore
from agora.stores.predictions import MemoryPredictionLog
from tests.serving.ladder import SYSTEM, Ladder
from tests.toy_system import PAYMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import BaseModel


class Heard:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.answers: list[tuple[Mapping[str, int], str, str | None, Sequence[str]]] = []
        self.changes: list[tuple[str, str]] = []

    def answered(self, *answer: Any) -> None:
        self.answers.append(answer)

    def repeated(self, source: str) -> None:
        raise AssertionError(source)

    def breaker_changed(self, name: str, state: str) -> None:
        self.changes.append((name, state))


@pytest.fixture
def ladder() -> Ladder:
    return Ladder()


@pytest.fixture
def log() -> MemoryPredictionLog:
    return MemoryPredictionLog()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def predictor(ladder: Ladder, log: MemoryPredictionLog, heard: Heard) -> Predictor:
    return Predictor(SYSTEM, ladder, MemoryOnlineStore(), log, observer=heard)


@pytest.fixture(params=["called", "awaited"])
def ask(request: pytest.FixtureRequest, predictor: Predictor) -> Callable[[], BaseModel]:
    """The next answer, by either way of asking."""
    asked = predictor.requests.check(PAYMENT)
    if request.param == "called":
        return lambda: predictor.answer(asked)[0]
    return lambda: asyncio.run(predictor.answer_async(asked))[0]


def test_all_rungs_answer_when_all_is_well(
    ask: Any, log: MemoryPredictionLog, heard: Heard
) -> None:
    answer = ask()
    assert (answer.score, answer.fallbacks, answer.degraded) == (0.3, [], False)
    (record,) = log.predictions
    assert (record.tier, record.fallbacks) == ("deep", [])
    assert {f"inference/{name}" for name in ("rules", "light", "deep")} < set(record.latencies)
    assert heard.answers == [(record.latencies, "deep", "approve", [])]


@pytest.mark.parametrize(
    ("broken", "score", "tier"), [("deep", 0.2, "light"), ("light", 0.1, "rules")]
)
def test_a_tier_that_raises_is_left_out_and_named(
    ask: Any, ladder: Ladder, predictor: Predictor, log: MemoryPredictionLog,
    broken: str, score: float, tier: str,
) -> None:  # fmt: skip
    getattr(ladder, broken).error = RuntimeError("no weights")
    for _ in range(10):
        answer = ask()
        assert (answer.score, answer.fallbacks, answer.degraded) == (score, [broken], True)
    assert {(r.tier, *r.fallbacks) for r in log.predictions} == {(tier, broken)}
    assert getattr(ladder, broken).calls == FAILURES, "its breaker is open"
    assert predictor.breakers()[broken] == "open"
    assert predictor.counts["degraded"] == predictor.counts[f"fallback/{broken}"] == 10


def test_a_tier_recovers_by_itself(ask: Any, ladder: Ladder, heard: Heard) -> None:
    ladder.deep.error = RuntimeError()
    for _ in range(FAILURES):
        ask()
    ladder.deep.error = None
    assert ask().fallbacks == ["deep"]
    time.sleep(PAUSE_SECONDS)
    assert [ask().fallbacks for _ in range(3)] == [[]] * 3
    assert heard.changes == [("deep", "open"), ("deep", "half-open"), ("deep", "closed")]


def test_a_probe_that_fails_opens_the_breaker_again(ask: Any, ladder: Ladder, heard: Heard) -> None:
    ladder.deep.error = RuntimeError()
    for _ in range(FAILURES):
        ask()
    time.sleep(PAUSE_SECONDS)
    for _ in range(5):
        assert ask().fallbacks == ["deep"]
    assert ladder.deep.calls == FAILURES + 1
    assert heard.changes[-2:] == [("deep", "half-open"), ("deep", "open")]


def test_a_tier_that_is_late_is_given_up_and_from_then_on_not_waited_for(
    ask: Any, ladder: Ladder
) -> None:
    ladder.deep.seconds = 1.0
    assert ask().fallbacks == ["deep"], "its answer came, but too late"
    for _ in range(2 * FAILURES):
        started = time.perf_counter()
        answer = ask()
        assert (answer.score, answer.fallbacks) == (0.2, ["deep"])
        assert time.perf_counter() - started < 0.9, "given up at its 200 ms"
    ladder.deep.seconds = 0.0
    time.sleep(PAUSE_SECONDS)
    assert ask().fallbacks == []


def test_a_score_that_is_no_number_is_no_answer(ask: Any, ladder: Ladder) -> None:
    ladder.deep.score_ = float("nan")
    assert (ask().score, ask().fallbacks) == (0.2, ["deep"])


def test_below_the_first_tier_there_is_no_rung(ask: Any, ladder: Ladder) -> None:
    ladder.rules.error = RuntimeError("rules")
    for _ in range(2 * FAILURES):
        with pytest.raises(RuntimeError, match="rules"):
            ask()


def test_no_store_and_no_deep_tier_are_both_named(ladder: Ladder, log: MemoryPredictionLog) -> None:
    ladder.deep.error = RuntimeError()
    answer = Predictor(SYSTEM, ladder, None, log).predict_one(PAYMENT)
    assert answer.fallbacks == log.predictions[0].fallbacks == ["store", "deep"]


def test_a_tier_that_could_not_end_within_the_request_s_budget_is_not_begun(
    predictor: Predictor, ladder: Ladder
) -> None:
    request = predictor.requests.check(PAYMENT)
    # Of 1,000 ms the gateway took 850: 100 are left for the light tier, not 200 for the deep one.
    answer, _ = predictor.answer(request, gateway_ns=850_000_000)
    assert (answer.score, answer.fallbacks) == (0.2, ["deep"])
    assert ladder.deep.calls == 0
    assert predictor.breakers()["deep"] == "closed", "it did nothing wrong"


def test_the_caller_and_the_gateway_s_time_are_logged(
    predictor: Predictor, log: MemoryPredictionLog
) -> None:
    predictor.answer(predictor.requests.check(PAYMENT), caller="shop", gateway_ns=1_234)
    (record,) = log.predictions
    assert (record.caller, record.latencies["gateway"]) == ("shop", 1_234)


class Elsewhere:
    """A tier in another process, that can be absent, slow, or of another version."""

    def __init__(self) -> None:
        self.verdict: Verdict | None = Verdict(np.array([0.4]), np.array([False]))
        self.error: Exception | None = None
        self.seconds = 0.0
        self.waiting = self.most = 0

    async def __call__(self, matrix: Any, scores: Any, version: str) -> Verdict | None:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await asyncio.sleep(self.seconds)
        self.waiting -= 1
        if self.error is not None:
            raise self.error
        return self.verdict


@pytest.mark.parametrize(
    ("change", "score", "fallbacks", "local_calls"),
    [
        ({}, 0.4, [], 0),
        ({"error": ConnectionError()}, 0.2, ["deep"], 0),
        ({"seconds": 60.0}, 0.2, ["deep"], 0),
        ({"verdict": None}, 0.3, [], 1),
    ],
    ids=["well", "gone", "slow", "another version"],
)
def test_a_tier_elsewhere_is_awaited_within_its_budget(
    ladder: Ladder, change: dict[str, Any], score: float, fallbacks: list[str], local_calls: int
) -> None:
    elsewhere = Elsewhere()
    vars(elsewhere).update(change)
    predictor = Predictor(SYSTEM, ladder, MemoryOnlineStore(), remotes={"deep": elsewhere})
    started = time.perf_counter()
    answer, _ = asyncio.run(predictor.answer_async(predictor.requests.check(PAYMENT)))
    assert (answer.score, answer.fallbacks) == (score, fallbacks)
    assert ladder.deep.calls == local_calls
    assert time.perf_counter() - started < 20


def test_other_requests_go_on_while_one_waits_for_a_tier_elsewhere(ladder: Ladder) -> None:
    elsewhere = Elsewhere()
    elsewhere.seconds = 0.1
    predictor = Predictor(SYSTEM, ladder, MemoryOnlineStore(), remotes={"deep": elsewhere})
    request = predictor.requests.check(PAYMENT)

    async def ten() -> list[Any]:
        return await asyncio.gather(*(predictor.answer_async(request) for _ in range(10)))

    assert [answer.score for answer, _ in asyncio.run(ten())] == [0.4] * 10
    assert elsewhere.most == 10


def test_who_waits_for_a_turn_behind_others_is_not_late(ladder: Ladder) -> None:
    predictor = Predictor(SYSTEM, ladder, MemoryOnlineStore())
    request = predictor.requests.check(PAYMENT)
    ladder.deep.seconds = 0.3
    assert predictor.answer(request)[0].fallbacks == ["deep"], "late: the next ones are watched"
    ladder.deep.seconds = 0.08

    async def twelve() -> list[Any]:
        return await asyncio.gather(*(predictor.answer_async(request) for _ in range(12)))

    # Four at once: the last begin after 160 ms and end after 240, of the 200 that each may take.
    assert [answer.fallbacks for answer, _ in asyncio.run(twelve())] == [[]] * 12
