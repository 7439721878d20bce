"""Availability: the share of the last hour's requests that the service failed, by its own counters.

Counters only grow and begin anew with each process; so what each look reads is kept for an hour,
and what a process counted since the hour began is the difference of its readings.
"""

from __future__ import annotations

import urllib.request
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from agora.stores.durable import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from agora.settings import Settings

WINDOW = timedelta(hours=1)
ANSWERED = {"agora_answers_total", "agora_repeats_total", "agora_outcomes_total"}
REFUSED, STARTED = "agora_refusals_total", "process_start_time_seconds"
PROBE_SECONDS = 3.0


class Reading(msgspec.Struct, frozen=True):
    """What a process of a service had counted at a time.

    Attributes:
        at: When it was read, seconds since the epoch.
        started: When the process began, which names it.
        answered: Requests that it answered.
        failed: Requests that it failed, with a status of 500 or above. What it refused because the
            caller erred is in neither.
    """

    at: float
    started: float
    answered: float
    failed: float


def counted(settings: Settings, system: str, now: datetime) -> tuple[float, float]:
    """Requests that the service answered and failed within the hour.

    Neither, where its counters cannot be read: they ask for a key of the role operator
    (`AGORA_OPERATOR_KEY`), unless they are open to all.
    """
    path = settings.alerts / f"{system}.counts.json"
    since = (now - WINDOW).timestamp()
    readings = [each for each in _kept(path) if each.at >= since]
    found = _read(settings, system, now)
    if found is None:
        return 0.0, 0.0
    readings.append(found)
    write_whole(path, msgspec.json.encode(readings))
    return increase(readings, since)


def increase(readings: Sequence[Reading], since: float) -> tuple[float, float]:
    """What all processes together answered and failed since a time, from readings in order."""
    answered = failed = 0.0
    for started in {each.started for each in readings}:
        own = [each for each in readings if each.started == started]
        first = Reading(started, started, 0.0, 0.0) if started >= since else own[0]
        answered += own[-1].answered - first.answered
        failed += own[-1].failed - first.failed
    return answered, failed


def _read(settings: Settings, system: str, now: datetime) -> Reading | None:
    """The counters now; None where the service does not show them."""
    url = f"http://{settings.service_host}:{settings.service_port}/metrics"
    key = settings.operator_key
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS) as response:
            families = list(text_string_to_metric_families(response.read().decode()))
    except (OSError, ValueError):
        return None
    answered = failed = started = 0.0
    for family in families:
        for sample in family.samples:
            if sample.name == STARTED:
                started = sample.value
            elif sample.labels.get("system") != system:
                continue
            elif sample.name in ANSWERED:
                answered += sample.value
            elif sample.name == REFUSED and sample.labels["status"].startswith("5"):
                failed += sample.value
    return Reading(now.timestamp(), started, answered, failed)


def _kept(path: Path) -> list[Reading]:
    """Earlier readings; without them the hour begins now."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Reading])
    except (FileNotFoundError, msgspec.MsgspecError):
        return []
