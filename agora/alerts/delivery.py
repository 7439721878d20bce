"""Delivery: each alert is told once when it begins and once when it ends, to a webhook or the log.

What has been told is kept in a file of the instance, so neither a restart nor a lost cursor repeats
it. What could not be delivered is tried again at the next call.
"""

from __future__ import annotations

import json
import logging
import time
import urllib.request
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from agora.stores.durable import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from agora.alerts.rules import Alert
    from agora.settings import Settings

logger = logging.getLogger(__name__)
TIMEOUT_SECONDS = 5.0
ATTEMPTS = 3
PAUSE_SECONDS = 0.5


class Told(msgspec.Struct, frozen=True):
    """An alert that lasts, as it was told."""

    name: str
    severity: str
    text: str
    runbook: str
    since: str


def deliver(
    settings: Settings, system: str, alerts: Sequence[Alert], now: datetime
) -> list[dict[str, Any]]:
    """Tell what is new and what is over; returns what was delivered.

    Args:
        settings: Where alerts go, and where it is kept what was told.
        system: Whose alerts these are: all of them, since those that are missing are over.
        alerts: What is wrong now.
        now: The time.
    """
    path = settings.alerts / f"{system}.json"
    lasting = _read(path)
    current = {alert.key: alert for alert in alerts}
    delivered = []
    for key, alert in current.items():
        if key not in lasting:
            told = Told(alert.name, alert.severity, alert.text, alert.runbook, now.isoformat())
            if (sent := _tell(settings, key, told, "firing", now)) is not None:
                lasting[key] = told
                delivered.append(sent)
    for key in [key for key in lasting if key not in current]:
        if (sent := _tell(settings, key, lasting[key], "resolved", now)) is not None:
            del lasting[key]
            delivered.append(sent)
    _write(path, lasting)
    return delivered


def _tell(
    settings: Settings, key: str, told: Told, status: Literal["firing", "resolved"], now: datetime
) -> dict[str, Any] | None:
    """Send one message; None when it was not delivered."""
    message = {"key": key, "status": status, "at": now.isoformat(), **msgspec.to_builtins(told)}
    if not settings.alert_webhook:
        level = logging.WARNING if status == "firing" else logging.INFO
        # Alembic, which Dagster and MLflow run, switches off every logger that it finds.
        logger.disabled = False
        logger.log(level, "alert %s %s: %s (%s)", key, status, told.text, told.runbook)
        return message
    body = json.dumps(message).encode()
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_SECONDS * 2**attempt)
        try:
            request = urllib.request.Request(
                settings.alert_webhook, body, {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
                return message
        except (OSError, ValueError) as error:
            # Never the address: it may hold a token.
            logger.error("alert %s is not delivered: %s", key, type(error).__name__)
    return None


def _read(path: Path) -> dict[str, Told]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Told])
    except FileNotFoundError:
        return {}
    except msgspec.MsgspecError:
        # Telling an alert twice is better than never again.
        logger.error("%s: cannot be read; alerts are told again", path)
        return {}


def _write(path: Path, lasting: dict[str, Told]) -> None:
    write_whole(path, msgspec.json.format(msgspec.json.encode(lasting)))
