"""How a service runs a cascade: each tier timed, within its budget, behind a breaker.

Python cannot stop a running call, and handing each one to a thread costs more than the trees. So a
tier is called where it stands, judged afterwards, and only once it failed or was late does it run
in a worker thread, which is left behind at the end of the budget, until it answers in time again.
A tier that another process runs is awaited and given up at its budget.

The first tier is the last rung: it is never given up, and what it raises is raised.
"""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

import numpy as np

from agora.budgets import TIER, TOTAL
from agora.cascade import Verdict, steps
from agora.serving.breakers import Breaker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence

    from agora.budgets import Budgets
    from agora.candidates import Candidates
    from agora.cascade import Array, Inferred, Step, Tier
    from agora.serving.observer import Observer

    Remote: TypeAlias = Callable[[Array, Array, str], Awaitable[Verdict | None]]
    Outcome: TypeAlias = Verdict | Candidates | Exception


class Work(Protocol):
    """What is tried."""

    def run(self) -> Verdict | Candidates:
        """Do it here and now."""
        ...


# Without a budget of its own a tier has this long.
USUAL_SECONDS = 1.0
# Tiers that hang are left in their threads; their breaker keeps them from filling up.
WATCHED_AT_ONCE = 4


def seconds_of(budgets: Budgets | None, stage: str) -> float:
    """How long a stage or a tier may run before it is given up."""
    seconds = budgets.give_up_seconds(stage) if budgets else None
    return USUAL_SECONDS if seconds is None else seconds


@dataclass(slots=True)
class Guard:
    """What surrounds one tier.

    Attributes:
        stage: Its name among the latencies.
        seconds: When it is given up.
        breaker: Its breaker; None for the first tier.
        remote: Runs it in another process; None where it runs here.
    """

    stage: str
    seconds: float
    breaker: Breaker | None
    remote: Remote | None


class Attempt:
    """One tier, or the retrieval, that is to be run now, in one of two ways.

    Both give what it gives, or what was raised.

    Attributes:
        took: Nanoseconds that it ran, without waiting for its turn; 0 when it did not end.
    """

    __slots__ = ("_guard", "_pool", "_version", "_work", "took")

    def __init__(self, work: Work, guard: Guard, pool: ThreadPoolExecutor, version: str) -> None:
        self._work = work
        self._guard = guard
        self._pool = pool
        self._version = version
        self.took = 0

    def run(self) -> Outcome:
        """Here, blocking."""
        try:
            if not self._is_watched():
                return self._timed()
            future = self._pool.submit(self._timed)
            try:
                return future.result(self._guard.seconds)
            finally:
                future.cancel()
        except Exception as error:
            return error

    async def run_async(self) -> Outcome:
        """Without holding up the event loop, unless the tier runs here and is not suspect."""
        remote = self._guard.remote
        if remote is None:
            return await self._watched() if self._is_watched() else self.run()
        step, started = cast("Step", self._work), time.perf_counter_ns()
        try:
            async with asyncio.timeout(self._guard.seconds):
                verdict = await remote(step.matrix, step.scores, self._version)
            self.took = time.perf_counter_ns() - started
        except Exception as error:
            return error
        # The other process has another version for a moment: this one has the right one.
        return self.run() if verdict is None else verdict

    def _is_watched(self) -> bool:
        breaker = self._guard.breaker
        return breaker is not None and breaker.is_suspect

    async def _watched(self) -> Outcome:
        begun, loop = asyncio.Event(), asyncio.get_running_loop()

        def work() -> Outcome:
            loop.call_soon_threadsafe(begun.set)
            return self._timed()

        future = asyncio.wrap_future(self._pool.submit(work))
        try:
            # Its turn comes when those before it have ended, or were given up: no fault of its own.
            async with asyncio.timeout(self._guard.seconds):
                await begun.wait()
            async with asyncio.timeout(self._guard.seconds):
                return await future
        except Exception as error:
            future.cancel()
            return error

    def _timed(self) -> Outcome:
        started = time.perf_counter_ns()
        found = self._work.run()
        self.took = time.perf_counter_ns() - started
        return found


class Tiers:
    """The tiers of one pipeline, as a service runs them.

    Attributes:
        breakers: Of all tiers but the first.
        first: Name of the first.
    """

    def __init__(
        self,
        tiers: Sequence[Tier],
        version: str,
        budgets: Budgets | None,
        observer: Observer,
        remotes: Mapping[str, Remote],
    ) -> None:
        """Put a guard around each.

        Args:
            tiers: Cheapest first.
            version: Version of the pipeline, which another process must have too.
            budgets: Time by tier, and in all.
            observer: Is told when a breaker changes.
            remotes: Tiers that another process runs.
        """
        self._tiers = tuple(tiers)
        self._version = version
        whole = budgets.give_up_seconds(TOTAL) if budgets else None
        self._deadline = None if whole is None else int(whole * 1e9)
        self._guards = {
            tier.name: Guard(
                f"{TIER}{tier.name}",
                seconds_of(budgets, f"{TIER}{tier.name}"),
                Breaker(tier.name, observer) if number else None,
                remotes.get(tier.name),
            )
            for number, tier in enumerate(self._tiers)
        }
        self.first = self._tiers[0].name
        self.breakers = [guard.breaker for guard in self._guards.values() if guard.breaker]
        self._pool = ThreadPoolExecutor(WATCHED_AT_ONCE, thread_name_prefix="tier")

    def name(self, inferred: Inferred) -> str:
        """The tier that gave the one score."""
        return str(self._tiers[inferred.tiers[0]].name)

    def deepest(self, inferred: Inferred) -> str:
        """The dearest tier that gave one of the scores; empty where there are none."""
        return str(self._tiers[inferred.tiers.max()].name) if len(inferred.tiers) else ""

    def attempts(
        self, matrix: Array, spent: dict[str, int], used: int
    ) -> Generator[Attempt, Outcome, Inferred]:
        """Run the cascade for one request: yields each attempt and is sent what came of it.

        Args:
            matrix: The decoded row, or one row per candidate.
            spent: Gets the nanoseconds of each tier.
            used: Nanoseconds of the request's budget that are gone.
        """
        began = time.perf_counter_ns() - used
        run = steps(self._tiers, matrix)
        try:
            step = next(run)
            while True:
                guard = self._guards[step.tier.name]
                verdict = None
                started = time.perf_counter_ns()
                if guard.breaker is None or self._may_start(guard, guard.breaker, started - began):
                    attempt = Attempt(step, guard, self._pool, self._version)
                    outcome = yield attempt
                    spent[guard.stage] = time.perf_counter_ns() - started
                    verdict = _accepted(outcome, guard, attempt.took)
                step = run.send(verdict)
        except StopIteration as done:
            inferred: Inferred = done.value
            return inferred

    def _may_start(self, guard: Guard, breaker: Breaker, used: int) -> bool:
        # One that could not end in time is not begun: the rung before it has an answer already.
        left = math.inf if self._deadline is None else self._deadline - used
        return left >= 1e9 * guard.seconds and breaker.allows()


def _accepted(outcome: Outcome, guard: Guard, took: int) -> Verdict | None:
    """The verdict if it is one and came in time; the breaker hears of it."""
    if guard.breaker is None:
        if isinstance(outcome, Exception):
            raise outcome
        return cast("Verdict", outcome)
    if not isinstance(outcome, Exception):
        verdict = cast("Verdict", outcome)
        if took > 1e9 * guard.seconds:
            outcome = TimeoutError()
        elif not _is_finite(verdict.scores):
            outcome = ArithmeticError()
        else:
            guard.breaker.succeeded()
            return verdict
    guard.breaker.failed(outcome)
    return None


def _is_finite(scores: Array) -> bool:
    # One row is the common case, and numpy takes ten times as long for it.
    return math.isfinite(scores[0]) if len(scores) == 1 else bool(np.isfinite(scores).all())
