"""From a request's columns to an answer: one row judged, or items chosen.

`Judging` decodes the row, runs the cascade and decides. `Choosing` retrieves first, and has two
rungs below: when retrieval, or the first tier, does not answer, the list that was made in batch
does, and without that what the pipeline gives to everybody.
"""

from __future__ import annotations

import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import numpy as np

from agora.candidates import KEPT, POPULAR, Candidates, Retrieved
from agora.serving.breakers import Breaker
from agora.serving.precomputed import key_of
from agora.serving.tiers import Attempt, Guard, seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from agora.cascade import Inferred
    from agora.columns import RequestColumns
    from agora.pipeline import Columns, ItemPipeline, Pipeline
    from agora.serving.observer import Observer
    from agora.serving.tiers import Outcome, Tiers
    from agora.system import System

    Steps = Generator[Attempt, Outcome, "Judged"]

logger = logging.getLogger(__name__)
RETRIEVAL = "retrieval"
DECODE, DECIDE = "decode", "decide"
# Retrievals that hang are left in their threads; the breaker keeps them from filling up.
WATCHED_AT_ONCE = 2


class Judged(NamedTuple):
    """What a pipeline says of one request.

    Attributes:
        output: Output columns, one value each.
        score: What the log keeps as the score.
        tier: What gave it.
        skipped: What did not answer.
    """

    output: dict[str, Any]
    score: float
    tier: str
    skipped: tuple[str, ...]


class Answering(Protocol):
    """One of the two ways to an answer."""

    breakers: list[Breaker]

    def steps(self, columns: RequestColumns, latencies: dict[str, int], used: int) -> Steps:
        """Answer one request: yields what is to be run and is sent what came of it.

        Args:
            columns: The request with its features.
            latencies: Gets the nanoseconds of each stage.
            used: Nanoseconds of the request's budget that are gone.
        """
        ...


class Judging:
    """Judges the request itself."""

    def __init__(self, pipeline: Pipeline, tiers: Tiers) -> None:
        self._pipeline = pipeline
        self._tiers = tiers
        self.breakers = tiers.breakers

    def steps(self, columns: RequestColumns, latencies: dict[str, int], used: int) -> Steps:
        """Decode, infer, decide."""
        inferred, output = yield from cascaded(
            self._pipeline, self._tiers, columns, latencies, used
        )
        score, tier = float(inferred.scores[0]), self._tiers.name(inferred)
        return Judged(output, score, tier, inferred.skipped)


@dataclass(frozen=True, slots=True)
class Retrieval:
    """One request's retrieval, to be run."""

    pipeline: ItemPipeline
    columns: Columns

    def run(self) -> Candidates:
        """Find candidates."""
        return self.pipeline.retrieve(self.columns)


class Choosing:
    """Chooses items for the request."""

    def __init__(
        self,
        system: System,
        pipeline: ItemPipeline,
        tiers: Tiers,
        observer: Observer,
        kept: Callable[[str], bytes | None],
    ) -> None:
        """Put a guard around retrieval.

        Args:
            system: The system.
            pipeline: Its pipeline.
            tiers: The pipeline's tiers.
            observer: Is told when a breaker changes.
            kept: Reads a value of the online store; None where there is none.
        """
        self._system = system
        self._pipeline = pipeline
        self._tiers = tiers
        self._kept = kept
        self._breaker = Breaker(RETRIEVAL, observer)
        seconds = seconds_of(system.budgets, RETRIEVAL)
        self._guard = Guard(RETRIEVAL, seconds, self._breaker, None)
        self._pool = ThreadPoolExecutor(WATCHED_AT_ONCE, thread_name_prefix=RETRIEVAL)
        self.breakers = [self._breaker, *tiers.breakers]

    def steps(self, columns: RequestColumns, latencies: dict[str, int], used: int) -> Steps:
        """Retrieve, decode, infer, decide; or fall back."""
        began = time.perf_counter_ns()
        failed = RETRIEVAL
        if self._breaker.allows():
            attempt = Attempt(
                Retrieval(self._pipeline, columns), self._guard, self._pool, self._pipeline.version
            )
            outcome = yield attempt
            latencies[RETRIEVAL] = took = time.perf_counter_ns() - began
            if isinstance(outcome, Candidates):
                self._judge(attempt.took)
                try:
                    return (yield from self._ranked(columns, outcome, latencies, used + took))
                except StageError as error:
                    failed = error.stage
            else:
                self._breaker.failed(cast("Exception", outcome))
        began = time.perf_counter_ns()
        output, rung = self._instead(columns)
        latencies["business_logic"] = time.perf_counter_ns() - began
        return Judged(output, float(output["score"]), rung, (failed,))

    def _judge(self, took: int) -> None:
        # What came late is there all the same, and better than a list of yesterday.
        if took > 1e9 * self._guard.seconds:
            self._breaker.failed(TimeoutError())
        else:
            self._breaker.succeeded()

    def _ranked(
        self, columns: RequestColumns, candidates: Candidates, latencies: dict[str, int], used: int
    ) -> Steps:
        carried = Retrieved(columns, candidates)
        inferred, output = yield from cascaded(
            self._pipeline, self._tiers, carried, latencies, used, guarded=True
        )
        tier = self._tiers.deepest(inferred) or RETRIEVAL
        skipped = (*candidates.skipped, *inferred.skipped)
        return Judged(output, float(output["score"]), tier, skipped)

    def _instead(self, columns: Columns) -> tuple[dict[str, Any], str]:
        """The list that was made in batch for this request's key, else what everybody gets."""
        kept = self._kept_list(columns)
        if kept is not None:
            return kept, KEPT
        return {
            name: values[0] for name, values in self._pipeline.popular(columns).items()
        }, POPULAR

    def _kept_list(self, columns: Columns) -> dict[str, Any] | None:
        items = self._system.items
        if items is None or items.keyed_by is None:
            return None
        value = columns[items.keyed_by][0]
        key = key_of(self._system.name, self._pipeline.version, value) if value else None
        found = self._kept(key) if key else None
        if found is None:
            return None
        try:
            answer = json.loads(found)
            made = {name: answer[name] for name in self._pipeline.outputs}
            lists = self._pipeline.relist(made, columns)
        except Exception as error:
            # A list of another shape: everybody's serves.
            logger.warning("a kept list is not used: %s", type(error).__name__)
            return None
        return {name: values[0] for name, values in lists.items()} if lists else None


class StageError(RuntimeError):
    """A stage after retrieval failed, of which no answer can be made."""

    def __init__(self, stage: str) -> None:
        super().__init__(stage)
        self.stage = stage


def cascaded(
    pipeline: Pipeline,
    tiers: Tiers,
    columns: Columns,
    latencies: dict[str, int],
    used: int,
    *,
    guarded: bool = False,
) -> Generator[Attempt, Outcome, tuple[Inferred, dict[str, Any]]]:
    """Decode, run the cascade, decide.

    Args:
        pipeline: What decodes and decides.
        tiers: Its tiers.
        columns: One request, with its candidates where it has some.
        latencies: Gets the nanoseconds of each stage.
        used: Nanoseconds of the request's budget that are gone.
        guarded: What fails is raised as `StageError`, and scores must be finite.
    """
    stage = DECODE
    try:
        started = time.perf_counter_ns()
        matrix = pipeline.decode(columns)
        decoded = time.perf_counter_ns()
        latencies["feature_computation"] = decoded - started
        stage, spent = tiers.first, dict[str, int]()
        inferred = yield from tiers.attempts(matrix, spent, used + decoded - started)
        if guarded and not np.isfinite(inferred.scores).all():
            raise ArithmeticError
        inferred_at = time.perf_counter_ns()
        latencies["inference"] = inferred_at - decoded
        latencies.update(spent)
        stage = DECIDE
        decided = pipeline.decide(inferred, matrix, columns)
        output = {name: values[0] for name, values in decided.items()}
        latencies["business_logic"] = time.perf_counter_ns() - inferred_at
        return inferred, output
    except Exception as error:
        if not guarded:
            raise
        # Its type only: a message may repeat the request.
        logger.error("%s failed: %s", stage, type(error).__name__)
        raise StageError(stage) from error
