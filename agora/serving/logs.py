"""What a service logs: one line of JSON per refusal, failure and degraded answer.

A line holds what the service knows of a request, never what the caller wrote in it: no body, no
path that is not ours, no token, no header. A flood is counted, not written.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

# Lines a second of one event and reason; the rest are counted in the next line that is written.
LINES_A_SECOND = 10
# One good answer in so many is written down.
SAMPLED = 1_000
WINDOWS_KEPT = 200


class RequestLog:
    """Writes lines about requests of one system."""

    def __init__(self, system: str, out: TextIO | None = None) -> None:
        self._log = structlog.wrap_logger(
            structlog.WriteLogger(out or sys.stdout),
            processors=[*_processors(), structlog.processors.JSONRenderer()],
            wrapper_class=structlog.BoundLogger,
            system=system,
        ).bind()
        self._windows: dict[tuple[str, str], list[float]] = {}

    def refused(self, status: int, reason: str, **facts: str | None) -> None:
        """A request was refused, or failed when the status says so."""
        event = "failed" if status >= 500 else "refused"
        self._line("error" if status >= 500 else "info", event, reason, status=status, **facts)

    def degraded(self, fallbacks: list[str], **facts: str | None) -> None:
        """An answer was given without all its parts."""
        self._line("warning", "degraded", ",".join(fallbacks), **facts)

    def answered(self, **facts: str | None) -> None:
        """A good answer, one of `SAMPLED`."""
        self._line("info", "answered", "", sampled=SAMPLED, **facts)

    def _line(self, level: str, event: str, reason: str, **facts: Any) -> None:
        now = time.monotonic()
        if len(self._windows) > WINDOWS_KEPT:
            self._windows.clear()
        window = self._windows.setdefault((event, reason), [now, 0, 0])
        if now - window[0] >= 1:
            window[0], window[1] = now, 0
        if window[1] >= LINES_A_SECOND:
            window[2] += 1
            return
        window[1] += 1
        if window[2]:
            facts["unwritten"], window[2] = int(window[2]), 0
        known = {name: value for name, value in facts.items() if value not in (None, "")}
        getattr(self._log, level)(event, **({"reason": reason} if reason else {}), **known)


def configure(out: TextIO | None = None) -> None:
    """Write what `agora`'s modules log as lines of JSON too; once per process."""
    library = logging.getLogger("agora")
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_processors(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _without_traceback,
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = logging.StreamHandler(out or sys.stdout)
    handler.setFormatter(formatter)
    library.handlers = [handler]
    library.setLevel(logging.INFO)
    library.propagate = False


def _processors() -> list[Processor]:
    return [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]


def _without_traceback(_: Any, __: str, line: EventDict) -> EventDict:
    # A traceback repeats a request's values.
    line.pop("exc_info", None)
    return line
