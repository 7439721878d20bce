"""Rules: the budgets of a system, its log, its data and its service, held against what is so."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from agora.alerts.availability import counted
from agora.audit.cost import cost_sheet
from agora.audit.latency import over_budget
from agora.stores import decisions, deployments
from agora.stores.lake import Lake, quote
from agora.stores.predictions import SUFFIX, read_segment
from agora.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora.settings import Settings
    from agora.system import System

Severity: TypeAlias = Literal["page", "ticket"]

NAMES: dict[str, Severity] = {
    "service-down": "page",
    "availability": "page",
    "store-down": "page",
    "deployment": "page",
    "breaker": "ticket",
    "latency": "page",
    "degraded": "page",
    "log-lag": "page",
    "cost": "ticket",
    "freshness": "ticket",
    "quarantine": "ticket",
    "refused": "ticket",
    "gate": "ticket",
    "parity": "page",
    "drift": "ticket",
    "schema": "ticket",
    "fresh": "ticket",
    "warehouse": "ticket",
    "failed-run": "ticket",
}
"""Every alert, each a heading of `docs/runbooks/<system>.md`; a page wakes somebody up."""

WINDOW = timedelta(hours=1)
FEWEST = 100
# The drain runs with every batch; an hour of answers outside the lake is not monitored.
MOST_LAG = timedelta(hours=1)
# Producers err in single rows; a hundredth is a broken file.
MOST_REJECTED = 0.01
PROBE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that is wrong.

    Attributes:
        system: Whose.
        name: One of `NAMES`.
        text: What is wrong, in words and numbers.
        subject: What tells it from others of its name: a stage, a table, a job.
    """

    system: str
    name: str
    text: str
    subject: str = ""

    @property
    def key(self) -> str:
        """Names it while it lasts."""
        return f"{self.system}/{self.name}" + (f"/{self.subject}" if self.subject else "")

    @property
    def severity(self) -> Severity:
        """`page` or `ticket`."""
        return NAMES[self.name]

    @property
    def runbook(self) -> str:
        """Where it says what to do."""
        return f"docs/runbooks/{self.system}.md#{self.name}"


@dataclass(frozen=True, slots=True)
class Situation:
    """What the rules look at."""

    system: System
    settings: Settings
    lake: Lake
    now: datetime

    @classmethod
    def of(cls, system: System, settings: Settings, now: datetime | None = None) -> Situation:
        """The situation of a system at this moment."""
        lake = Lake(settings.lake, settings.lake_options)
        return cls(system, settings, lake, now or datetime.now(UTC))

    def alert(self, name: str, text: str, subject: str = "") -> Alert:
        """An alert of this system."""
        return Alert(self.system.name, name, text, subject)


def firing(here: Situation) -> list[Alert]:
    """Everything that is wrong now; a rule that cannot look is silent, its cause has its own."""
    return [alert for rule in RULES for alert in rule(here)]


def service(here: Situation) -> Iterator[Alert]:
    """A deployed system must answer, with its store and its newest deployment."""
    if deployments.read(here.settings.deployments, here.system.name) is None:
        return
    status, said = _ready(here.settings)
    if status != 200:
        missing = ", ".join(said.get("missing", [])) or "no answer"
        yield here.alert("service-down", f"/readyz says {status or 'nothing'}: {missing}")
    names = {"store": "store-down", "deployment": "deployment"}
    for part in said.get("degraded", []):
        name = names.get(part, "breaker")
        yield here.alert(name, f"the service answers without {part}", "" if part in names else part)


def availability(here: Situation) -> Iterator[Alert]:
    """The service must answer, not fail; what it does not hear at all is `service`'s."""
    if deployments.read(here.settings.deployments, here.system.name) is None:
        return
    answered, failed = counted(here.settings, here.system.name, here.now)
    total, most = answered + failed, 1 - here.system.budgets.availability
    if total >= FEWEST and failed > most * total:
        text = f"{failed / total:.2%} of {total:,.0f} requests failed in an hour, budget {most:.2%}"
        yield here.alert("availability", text)


def latency(here: Situation) -> Iterator[Alert]:
    """No stage may take longer than its budget."""
    for over in over_budget(here.system, here.lake, here.now - WINDOW, here.now):
        yield here.alert("latency", f"{over} in the last hour", over.stage)


def degraded(here: Situation) -> Iterator[Alert]:
    """Fallbacks are for the exception."""
    table = f"predictions/{here.system.name}"
    if not here.lake.exists(table):
        return
    since = here.now - WINDOW
    found = here.lake.query(
        "select count(*) as answers, count(*) filter (where degraded) as degraded "
        f"from predictions.{quote(here.system.name)} "
        f"where prediction_date >= date '{since.date()}' "
        f"and predicted_at >= timestamptz '{since.isoformat()}'"
    ).row(0, named=True)
    limit = here.system.budgets.degraded_share
    if found["answers"] >= FEWEST and found["degraded"] > limit * found["answers"]:
        share = found["degraded"] / found["answers"]
        yield here.alert(
            "degraded", f"{share:.1%} of {found['answers']:,} answers degraded, budget {limit:.1%}"
        )


def cost(here: Situation) -> Iterator[Alert]:
    """An answer may cost what the budget says."""
    try:
        sheet = cost_sheet(here.system, here.lake)
    except LookupError:
        return
    if not sheet.within_budget:
        yield here.alert(
            "cost",
            f"{sheet.usd_per_prediction:.2g} USD a prediction, budget {sheet.budget_usd:g}",
        )


def freshness(here: Situation) -> Iterator[Alert]:
    """The newest features must not be older than the budget, nor than their set allows."""
    limit = timedelta(hours=here.system.budgets.freshness_hours)
    for each in here.system.feature_sets:
        if not here.lake.exists(each.table):
            continue
        newest = here.lake.query(
            f"select max(feature_date) from ({here.lake.scan(each.table)})"
        ).item()
        if newest is None:
            continue
        end = datetime.combine(newest, datetime.min.time(), UTC) + timedelta(days=1)
        if here.now - end > limit:
            hours = (here.now - end) / timedelta(hours=1)
            text = f"{each.name} ends {hours:.0f} hours ago, budget {limit / timedelta(hours=1):g}"
            yield here.alert("freshness", text, each.name)


def quarantine(here: Situation) -> Iterator[Alert]:
    """Rejected rows of the newest day must stay few."""
    for table in TABLES.values():
        if here.system.name not in table.consumers:
            continue
        kept, rejected = (
            _newest_day(here.lake, f"{at}/{table.name}") for at in ("raw", "quarantine")
        )
        if rejected is None or (kept is not None and kept[0] > rejected[0]):
            continue
        rows = kept[1] if kept is not None and kept[0] == rejected[0] else 0
        share = rejected[1] / (rows + rejected[1])
        if share > MOST_REJECTED:
            text = f"{share:.1%} of {table.name} of {rejected[0]} in quarantine"
            yield here.alert("quarantine", text, table.name)


def log_lag(here: Situation) -> Iterator[Alert]:
    """Answers must reach the lake within the hour."""
    folder = here.settings.prediction_log / here.system.name
    table = f"predictions/{here.system.name}"
    delta = here.lake.table(table) if here.lake.exists(table) else None
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        offset = (delta.transaction_version(path.stem) if delta else None) or 0
        # Only the first record beyond the offset: its age is the lag.
        waiting = next(read_segment(path, offset), None)
        opened = datetime.fromtimestamp(int(path.stem.partition("-")[0]) / 1e9, UTC)
        if waiting is not None and here.now - opened > MOST_LAG:
            minutes = (here.now - opened) / timedelta(minutes=1)
            yield here.alert("log-lag", f"answers of {minutes:.0f} minutes ago are not in the lake")
            return


def refused(here: Situation) -> Iterator[Alert]:
    """The newest challenger or adjustment was refused: the champion grows old."""
    found = decisions.read(here.lake, here.system.name)
    if len(found) and (last := found.row(-1, named=True))["action"] == "refused":
        why = "; ".join(last["reasons"] or []) or "no reason given"
        yield here.alert("refused", f"version {last['version']} refused by {last['by']}: {why}")


RULES = (service, availability, latency, degraded, cost, freshness, quarantine, log_lag, refused)


def _newest_day(lake: Lake, table: str) -> tuple[Any, int] | None:
    """The newest arrival day of a table and its rows."""
    if not lake.exists(table):
        return None
    found = lake.query(
        f"select arrival_date, count(*) from ({lake.scan(table)}) "
        "group by arrival_date order by arrival_date desc limit 1"
    )
    return (found.item(0, 0), int(found.item(0, 1))) if len(found) else None


def _ready(settings: Settings) -> tuple[int, dict[str, Any]]:
    """What the service's probe says; 0 when it does not answer."""
    url = f"http://{settings.service_host}:{settings.service_port}/readyz"
    try:
        with urllib.request.urlopen(url, timeout=PROBE_SECONDS) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        try:
            return error.code, json.load(error)
        except ValueError:
            return error.code, {}
    except (OSError, ValueError):
        return 0, {}
