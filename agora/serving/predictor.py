"""The Predictor: request, online features, pipeline, decision, logged prediction, answer.

One path for a live request and for a batch: they differ in where the features are read (online as
of now, or the lake as of each row's time) and meet in the columns that the pipeline gets.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ValidationError

from agora.cascade import steps
from agora.pipeline import MISSING_TIME
from agora.serving.lookups import Lookup
from agora.serving.requests import Requests
from agora.stores.online import OnlineRows
from agora.stores.predictions import Prediction

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import polars as pl

    from agora.cascade import Inferred
    from agora.pipeline import Pipeline
    from agora.stores.lake import Lake
    from agora.stores.online import OnlineStore
    from agora.stores.predictions import PredictionLog
    from agora.system import System

logger = logging.getLogger(__name__)
# A broken store costs its timeout once in this many seconds, not once per request.
STORE_PAUSE = 1.0


class OutputError(RuntimeError):
    """The pipeline's output does not fit the system's response model."""


class Predictor:
    """Answers requests of one system with one fitted pipeline.

    Attributes:
        system: The system.
        pipeline: Its pipeline.
        counts: Answers, degraded answers and refused outputs since the start.
    """

    def __init__(
        self,
        system: System,
        pipeline: Pipeline,
        online: OnlineStore | None = None,
        log: PredictionLog | None = None,
        *,
        lake: Lake | None = None,
    ) -> None:
        """Put the parts together; without `online` every answer is a degraded one.

        Args:
            system: The system.
            pipeline: A fitted or loaded pipeline of it.
            online: Features as of now, for `predict_one`.
            log: Where each answer is written before it is given.
            lake: Features as of a time, for `predict_batch`.
        """
        self.system = system
        self.pipeline = pipeline
        self.requests = Requests(system)
        self.counts: Counter[str] = Counter()
        self._online = online
        self._log = log
        self._lake = lake
        self._retry_at = 0.0
        self._entities = tuple((entity.name, key) for entity, key in system.entities.items())
        self._sets = tuple(Lookup(s, system.entities[s.entity]) for s in system.feature_sets)
        never = np.array([MISSING_TIME])
        self._absent = [
            OnlineRows(np.array([each.feature_set.defaults]), never, never) for each in self._sets
        ]

    def predict_one(self, request: Mapping[str, Any] | BaseModel) -> BaseModel:
        """Answer one request; raises RequestError when it is not one."""
        if not isinstance(request, self.system.request):
            request = self.requests.check(request)
        return self.answer(request)[0]

    def answer(self, request: BaseModel) -> tuple[BaseModel, str]:
        """Answer a validated request; the answer also as JSON, as it was logged.

        Raises:
            OutputError: The pipeline gave something that is not an answer.
            OSError: The log could not be written; the caller must not get the answer.
        """
        started = time.perf_counter_ns()
        now = time.time_ns() // 1000
        columns = self.requests.columns(request, now)
        rows, fallbacks = self._features(request)
        for lookup, row in zip(self._sets, rows, strict=True):
            columns.update(zip(lookup.columns, row.values.T, strict=True))
            columns[lookup.time_column] = row.feature_at
        looked_up = time.perf_counter_ns()
        matrix = self.pipeline.decode(columns)
        decoded = time.perf_counter_ns()
        inferred, spent = self._infer(matrix)
        fallbacks = [*fallbacks, *inferred.skipped]
        inferred_at = time.perf_counter_ns()
        decided = self.pipeline.decide(inferred, matrix, columns)
        output = {name: values[0] for name, values in decided.items()}
        decided_at = time.perf_counter_ns()
        prediction_id = time_ordered_id(now)
        response = self.response(
            output
            | {
                "prediction_id": prediction_id,
                "model_version": self.pipeline.version,
                "degraded": bool(fallbacks),
                "fallbacks": fallbacks,
            }
        )
        body = response.model_dump_json()
        answered_at = time.perf_counter_ns()
        if self._log is not None:
            fields = request.__dict__
            record = Prediction(
                prediction_id=prediction_id,
                system=self.system.name,
                model_version=self.pipeline.version,
                request_id=fields[self.requests.id_field],
                entity_ids={name: fields[column] for name, column in self._entities},
                request=request.model_dump_json(),
                features=list(map(Lookup.used, self._sets, rows)),
                score=float(inferred.scores[0]),
                output=body,
                decision=output.get("decision"),
                latencies={
                    "feature_lookup": looked_up - started,
                    "feature_computation": decoded - looked_up,
                    "inference": inferred_at - decoded,
                    **spent,
                    "business_logic": decided_at - inferred_at,
                    "serialisation": answered_at - decided_at,
                },
                degraded=bool(fallbacks),
                event_at=int(columns["event_at"][0]),
                predicted_at=now,
                tier=self.pipeline.tiers[inferred.tiers[0]].name,
                fallbacks=fallbacks,
            )
            self._log.append(record)
        self.counts["answered"] += 1
        self.counts["degraded"] += bool(fallbacks)
        return response, body

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

    def _features(self, request: BaseModel) -> tuple[list[OnlineRows], list[str]]:
        """Each feature set's row, and what did not answer."""
        if self._online is None or time.monotonic() < self._retry_at:
            return self._absent, ["store"]
        fields = request.__dict__
        try:
            rows = self._online.read(
                [(each.feature_set, (fields[each.id_field],)) for each in self._sets]
            )
        except Exception as error:
            # Whatever is wrong with the store, a payment still needs an answer.
            self._retry_at = time.monotonic() + STORE_PAUSE
            self.counts["store_failures"] += 1
            logger.warning("online store: %s; answering without features", type(error).__name__)
            return self._absent, ["store"]
        return rows, []

    def _infer(self, matrix: np.ndarray[Any, Any]) -> tuple[Inferred, dict[str, int]]:
        """Run the cascade; also the nanoseconds that each tier took."""
        run, spent = steps(self.pipeline.tiers, matrix), {}
        try:
            step = next(run)
            while True:
                started = time.perf_counter_ns()
                verdict = step.run()
                spent[f"inference/{step.tier.name}"] = time.perf_counter_ns() - started
                step = run.send(verdict)
        except StopIteration as done:
            return done.value, spent

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


def time_ordered_id(now: int) -> str:
    """A version 7 UUID: sorted by its microsecond, then random."""
    milliseconds, rest = divmod(now, 1000)
    # RFC 9562, method 3: 12 bits hold the fraction of the millisecond.
    fraction = rest * 4096 // 1000
    chance = int.from_bytes(os.urandom(8)) >> 2
    digits = f"{milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | chance:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
