"""The Predictor: request, online features, pipeline, decision, logged prediction, answer.

One path for a live request and for a batch: they differ in where the features are read (online as
of now, or the lake as of each row's time) and meet in the columns that the pipeline gets.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ValidationError

from agora.pipeline import is_of_items
from agora.serving.answering import Choosing, Judging
from agora.serving.identifiers import time_ordered_id
from agora.serving.lookups import STORE, Lookups
from agora.serving.observer import NullObserver
from agora.serving.precomputed import key_of
from agora.serving.repeats import Repeats
from agora.serving.requests import Requests
from agora.serving.tiers import Tiers
from agora.stores.predictions import Prediction

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from datetime import date

    import polars as pl

    from agora.columns import RequestColumns
    from agora.pipeline import Pipeline
    from agora.serving.answering import Answering, Judged
    from agora.serving.observer import Observer
    from agora.serving.tiers import Attempt, Outcome, Remote
    from agora.stores.lake import Lake
    from agora.stores.online import OnlineStore, RequestRows
    from agora.stores.predictions import PredictionLog
    from agora.system import System

Answer = tuple[BaseModel, str]


class OutputError(RuntimeError):
    """The pipeline's output does not fit the system's response model."""


class Asked(NamedTuple):
    """Who asked, and what was spent before the Predictor was.

    Attributes:
        request: The request, validated.
        caller: Name of the API key.
        gateway_ns: Nanoseconds that the gateway took.
        key: Where a repeat of it finds the answer; None when none are kept.
    """

    request: BaseModel
    caller: str | None
    gateway_ns: int
    key: str | None


class Predictor:
    """Answers requests of one system with one fitted pipeline.

    Attributes:
        system: The system.
        pipeline: Its pipeline.
        requests: Reads its requests.
        counts: Answers, degraded answers, each fallback (`fallback/<name>`), repeats and refused
            outputs since the start.
    """

    def __init__(
        self,
        system: System,
        pipeline: Pipeline,
        online: OnlineStore | None = None,
        log: PredictionLog | None = None,
        *,
        lake: Lake | None = None,
        observer: Observer | None = None,
        repeats: Repeats | None = None,
        remotes: Mapping[str, Remote] | None = None,
    ) -> None:
        """Put the parts together; without `online` every answer is a degraded one.

        Args:
            system: The system.
            pipeline: A fitted or loaded pipeline of it.
            online: Features as of now, for `predict_one`.
            log: Where each answer is written before it is given.
            lake: Features as of a time, for `predict_batch`.
            observer: Is told of each answer.
            repeats: Answers of the last seconds, shared by all versions; none are kept without.
            remotes: Tiers that another process runs, by name; for `answer_async` only.
        """
        self.system = system
        self.pipeline = pipeline
        self.requests = Requests(system)
        self.counts: Counter[str] = Counter()
        self._log = log
        self._lake = lake
        self._observer = observer or NullObserver()
        self._repeats = repeats or Repeats(system.name, 0)
        self._lookups = Lookups(system, online, self._observer)
        tiers = Tiers(
            pipeline.tiers, pipeline.version, system.budgets, self._observer, remotes or {}
        )
        self._answering: Answering = (
            Choosing(system, pipeline, tiers, self._observer, self._lookups.kept)
            if is_of_items(pipeline)
            else Judging(pipeline, tiers)
        )
        self._entities = tuple((entity.name, key) for entity, key in system.entities.items())

    def predict_one(self, request: Mapping[str, Any] | BaseModel) -> BaseModel:
        """Answer one request; raises RequestError when it is not one."""
        if not isinstance(request, self.system.request):
            request = self.requests.check(request)
        return self.answer(request)[0]

    def answer(self, request: BaseModel, caller: str | None = None, gateway_ns: int = 0) -> Answer:
        """Answer a validated request; the answer also as JSON, as it was logged.

        Args:
            request: The request.
            caller: Name of the API key that asks.
            gateway_ns: Nanoseconds spent on it before.

        Raises:
            OutputError: The pipeline gave something that is not an answer.
            OSError: The log could not be written; the caller must not get the answer.
        """
        flow = self._flow(request, caller, gateway_ns)
        try:
            attempt = next(flow)
            while True:
                attempt = flow.send(attempt.run())
        except StopIteration as done:
            answer: Answer = done.value
            return answer

    async def answer_async(
        self, request: BaseModel, caller: str | None = None, gateway_ns: int = 0
    ) -> Answer:
        """What `answer` does; a tier that another process runs, or a suspect one, is awaited."""
        flow = self._flow(request, caller, gateway_ns)
        try:
            attempt = next(flow)
            while True:
                attempt = flow.send(await attempt.run_async())
        except StopIteration as done:
            answer: Answer = done.value
            return answer

    def breakers(self) -> dict[str, str]:
        """State of each breaker: of the store, of retrieval, and of all tiers but the first."""
        store = self._lookups.breaker
        found = [*([store] if store else []), *self._answering.breakers]
        return {breaker.name: breaker.state for breaker in found}

    def _flow(
        self, request: BaseModel, caller: str | None, gateway_ns: int
    ) -> Generator[Attempt, Outcome, Answer]:
        """Answer one request: yields what is to be run, as each tier."""
        started = time.perf_counter_ns()
        asked = Asked(
            request, caller, gateway_ns, self._repeats.key(self.pipeline.version, caller, request)
        )
        if asked.key is not None and (body := self._repeats.held(asked.key)) is not None:
            return self._repeated(body, "process")
        now = time.time_ns() // 1000
        fields = request.__dict__
        found = self._lookups.find(fields, asked.key)
        if asked.key is not None and found.kept is not None:
            self._repeats.keep(asked.key, found.kept.decode(), shared=False)
            return self._repeated(found.kept.decode(), STORE)
        columns = self.requests.layout.columns(
            found.rows.values, found.rows.feature_at, fields, now
        )
        latencies = {"gateway": gateway_ns} if gateway_ns else {}
        looked_up = time.perf_counter_ns()
        latencies["feature_lookup"] = looked_up - started
        judged = yield from self._answering.steps(
            columns, latencies, looked_up - started + gateway_ns
        )
        fallbacks = [*(() if found.answered else (STORE,)), *judged.skipped]
        return self._given(asked, columns, found.rows, judged, fallbacks, latencies, now)

    def _given(
        self,
        asked: Asked,
        columns: RequestColumns,
        rows: RequestRows,
        judged: Judged,
        fallbacks: list[str],
        latencies: dict[str, int],
        now: int,
    ) -> Answer:
        """Check the answer, log it, count it."""
        began = time.perf_counter_ns()
        prediction_id, version = time_ordered_id(now), self.pipeline.version
        output, tier = judged.output, judged.tier
        decision = output.get("decision")
        output["prediction_id"], output["model_version"] = prediction_id, version
        output["degraded"], output["fallbacks"] = bool(fallbacks), fallbacks
        response = self.response(output)
        body = response.model_dump_json()
        sent = asked.request.model_dump_json()
        latencies["serialisation"] = time.perf_counter_ns() - began
        if self._log is not None:
            fields = asked.request.__dict__
            self._log.append(
                Prediction(
                    prediction_id=prediction_id,
                    system=self.system.name,
                    model_version=version,
                    request_id=fields[self.requests.id_field],
                    entity_ids={name: fields[column] for name, column in self._entities},
                    request=sent,
                    features=self._lookups.used(rows),
                    score=judged.score,
                    output=body,
                    decision=decision,
                    latencies=latencies,
                    degraded=bool(fallbacks),
                    event_at=columns.event_at,
                    predicted_at=now,
                    tier=tier,
                    fallbacks=fallbacks,
                    caller=asked.caller,
                )
            )
        if asked.key is not None and not fallbacks:
            self._repeats.keep(asked.key, body)
        self._count(fallbacks)
        self._observer.answered(latencies, tier, decision, fallbacks)
        return response, body

    def kept_list(self, value: str) -> bytes | None:
        """The answer that a batch made for a value of the field that lists are keyed by, as JSON.

        None where there is none, or the store does not answer.
        """
        return self._lookups.kept(key_of(self.system.name, self.pipeline.version, value))

    def _repeated(self, body: str, source: str) -> Answer:
        self.counts["repeated"] += 1
        self._observer.repeated(source)
        return self.system.response.model_validate_json(body), body

    def _count(self, fallbacks: list[str]) -> None:
        self.counts["answered"] += 1
        if fallbacks:
            self.counts["degraded"] += 1
            for name in fallbacks:
                self.counts[f"fallback/{name}"] += 1

    def predict_batch(self, frame: pl.DataFrame, day: date | None = None) -> pl.DataFrame:
        """Score rows with the features known at each row's `event_at`.

        Args:
            frame: Request columns and `event_at`, one row per request.
            day: Day that the batch stands for; the day of the newest `event_at` by default.

        Returns:
            Rows of the prediction table, in the frame's order. Their ids depend on system, model
            version, day and request only, so a repeated run gives the same.

        Raises:
            ValueError: There is no lake, or a request id comes twice.
        """
        if self._lake is None:
            raise ValueError("predict_batch reads features from a lake; none was given")
        # Imported here: a service that answers single requests needs neither DuckDB nor Delta.
        from agora.serving.batch import score_batch

        return score_batch(self, self._lake, frame, day)

    def response(self, answer: dict[str, Any]) -> BaseModel:
        """The answer as the system's response model; raises OutputError when it does not fit."""
        try:
            return self.system.response.model_validate(answer)
        except ValidationError as error:
            self.counts["refused_outputs"] += 1
            fields = sorted({str(found["loc"][0]) for found in error.errors() if found["loc"]})
            # Not the error itself: it repeats values.
            raise OutputError(
                f"model {self.pipeline.version}: its output does not fit "
                f"{self.system.response.__name__} in {', '.join(fields)}"
            ) from None
