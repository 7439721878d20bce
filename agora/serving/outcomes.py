"""POST /outcomes: what callers report is held against its contract, kept, then acknowledged.

Then it is landed or, where its table is streamed, sent into the log.

All of it waits for disks, so it runs in a thread beside the event loop.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast
from uuid import UUID

import msgspec

from agora.serving.gateway import Refusal
from agora.serving.requests import RequestError, Requests
from agora.stores.outcome_inbox import OutcomeInbox, OutcomeReport
from agora.stores.predictions import SUFFIX, Prediction, read_segment
from agora.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agora.settings import Settings
    from agora.stores.outcome_inbox import Reported
    from agora.streams.delivery import Delivery
    from agora.system import System

logger = logging.getLogger(__name__)
FLUSH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that was answered, and who it was about: id by entity."""

    request_id: str
    entity_ids: Mapping[str, str | None]

    def completed(self, reported: Reported) -> Reported:
        """The report with the ids that its caller left out and the request had."""
        row = dict(reported.row)
        for entity, key in self.entity_ids.items():
            if f"{entity}_id" in row:
                row[f"{entity}_id"] = row[f"{entity}_id"] or key
        return replace(reported, row=row)


class Outcomes:
    """Takes reports of one system, and lands them every `FLUSH_SECONDS` or sends them at once."""

    def __init__(self, system: System, model: type[OutcomeReport], settings: Settings) -> None:
        self._system = system.name
        self._reports = Requests(replace(system, request=model))
        self._settings = settings
        self._log = settings.prediction_log / system.name
        self._inbox: OutcomeInbox | None = None
        self._delivery: Delivery | None = None
        self._stopped, self._news = threading.Event(), threading.Event()

    def open(self) -> None:
        """Open the inbox and begin to land what it holds."""
        from agora.streams.delivery import Delivery

        self._inbox = OutcomeInbox(self._settings.outcome_inbox / f"{self._system}.sqlite")
        self._delivery = Delivery(self._inbox, self._settings)
        threading.Thread(target=self._land, name="outcomes", daemon=True).start()

    def close(self) -> None:
        """Stop landing; what waits is landed by the next service."""
        self._stopped.set()
        self._news.set()

    def take(self, body: bytes, caller: str) -> tuple[str, bool]:
        """Keep a report; returns its id, and whether it says something new.

        Raises:
            RequestError: It is not a report, or of an unknown prediction; it is not kept.
        """
        report = cast("OutcomeReport", self._reports.parse(body))
        if lacking := report.lacks():
            said = f"Add {lacking}, or prediction_id."
            raise RequestError(lacking, "the field is missing", said)
        request_id, found = report.request_id, None
        if report.prediction_id is not None:
            # Looked up although the caller names the request too: the two may contradict.
            found = self._asked(report.prediction_id)
            if found is None and request_id is None:
                fix = "Correct prediction_id, or name the request itself."
                raise Refusal(
                    404, "prediction", "no such answer was given", fix, field="prediction_id"
                )
            if found is not None and request_id not in (None, found.request_id):
                fix = "Correct one of the two, or leave one out."
                raise RequestError("prediction_id", "is the answer to another request", fix)
            request_id = request_id or cast("_Asked", found).request_id
        reported = report.reported(cast("str", request_id), caller)
        if found is not None:
            reported = found.completed(reported)
        if self._inbox is None or self._delivery is None:
            raise Refusal(503, "not_ready", "the service is starting", "Try again.")
        _hold_against_contract(reported, self._delivery.streamed)
        is_new = self._inbox.add(reported)
        if reported.table in self._delivery.streamed:
            self._news.set()
        return reported.outcome_id, is_new

    def _asked(self, prediction_id: str) -> _Asked | None:
        """What an answer was given to: from the log, or from where it was drained to."""
        decoder, wanted = msgspec.msgpack.Decoder(Prediction), prediction_id.encode()
        # The newest first: people judge what they were just shown.
        for path in sorted(self._log.glob(f"*{SUFFIX}"), reverse=True):
            try:
                for payload, _ in read_segment(path):
                    if wanted in payload[:64]:
                        prediction = decoder.decode(payload)
                        return _Asked(prediction.request_id, prediction.entity_ids)
            except FileNotFoundError:
                continue
        return self._drained(prediction_id)

    def _drained(self, prediction_id: str) -> _Asked | None:
        from agora.stores.lake import Lake

        lake, table = Lake(self._settings.lake, self._settings.lake_options), "predictions"
        if not lake.exists(f"{table}/{self._system}"):
            return None
        # The id holds the time of the answer, and that the partition.
        try:
            day = datetime.fromtimestamp((UUID(prediction_id).int >> 80) / 1e3, UTC).date()
        except (ValueError, OverflowError, OSError):
            return None
        rows = lake.query(
            f"select request_id, entity_ids from {table}.{self._system} "
            f"where prediction_date = date '{day}' and prediction_id = '{UUID(prediction_id)}'"
        )
        if not len(rows):
            return None
        request_id, entities = rows.row(0)
        return _Asked(request_id, {each["entity"]: each["id"] for each in entities})

    def _land(self) -> None:
        assert self._inbox is not None
        assert self._delivery is not None
        # The first time for what an earlier process has left.
        waits = True
        while not self._stopped.is_set():
            try:
                if waits or self._inbox.waiting():
                    self._delivery.deliver()
                    waits = False
            except Exception as error:
                # It is kept all the same, and tried again.
                logger.error("outcomes: %s; they wait in the inbox", type(error).__name__)
                self._stopped.wait(FLUSH_SECONDS)
            self._news.wait(FLUSH_SECONDS)
            self._news.clear()
        self._delivery.close()


def _hold_against_contract(reported: Reported, streamed: frozenset[str]) -> None:
    """Refuse what ingestion would set aside: once acknowledged, a report is a label."""
    import polars as pl

    from agora.streams.topics import AHEAD
    from agora.validation import validate

    now = datetime.now(UTC)
    row = {"row_number": 1, **reported.landed(int(now.timestamp() * 1e6))}
    verdict = validate(pl.DataFrame([row]), TABLES[reported.table], now.date())
    for reason in verdict.reasons:
        column = reason.partition(":")[0]
        raise RequestError(column, "does not fit the contract", f"Correct {column}.")
    if reported.table in streamed and verdict.accepted["event_at"][0] > now + AHEAD:
        said = "is ahead of the platform's clock"
        raise RequestError("event_at", said, "Correct the clock, or leave it out.")
