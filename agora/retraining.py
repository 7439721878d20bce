"""Retraining: what calls for a new model, each reason named so that it is answered once.

A `Stimulus` has an identity. The same drift of the same day, or the same hundred labels, is the
same stimulus however often it is looked for; the sensor starts one run for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agora.stores.lake import Lake
    from agora.stores.models import ModelRegistry
    from agora.system import System

WEEK = 7
Kind: TypeAlias = Literal["drift", "decay", "labels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retraining:
    """When a system is trained beside its daily schedule.

    Attributes:
        fewest_labels: New labels of analysts that are worth a training.
        label_sources: Sources of outcomes that are analysts.
        cooldown: Time between the starts of two trainings; a stimulus within it waits.
        most_warm: Trainings in a row that may go on from the champion, as the schedule asks for on
            six days of seven; 0: its pipeline cannot, every training is a full one. Else it is a
            `agora.warm_start.Warm`.
    """

    fewest_labels: int = 200
    label_sources: tuple[str, ...] = ("verdict",)
    cooldown: timedelta = timedelta(hours=6)
    most_warm: int = 0


@dataclass(frozen=True, slots=True)
class Stimulus:
    """A reason to train.

    Attributes:
        kind: Which.
        identity: What tells it from others of its kind.
        text: The same in words.
    """

    kind: Kind
    identity: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.identity}"


class Find(Protocol):
    """Says what is wrong on a monitored day; something false when nothing is."""

    def __call__(self, lake: Lake, system: System, day: date) -> object:
        """Look at one day."""
        ...


def stimuli(
    system: System,
    lake: Lake,
    models: ModelRegistry,
    find: Mapping[Kind, Find],
    until: datetime | None,
) -> list[Stimulus]:
    """All that calls for a training now; nothing before there is a first model.

    Args:
        system: Whose.
        lake: Monitoring and outcomes.
        models: What has been trained.
        find: What to look for on the newest monitored days.
        until: What a training would know: labels that arrived later cannot be learned yet.
    """
    trained = trained_until(system, models)
    if trained is None:
        return []
    found = list(_monitored(system, lake, find, trained.date()))
    if until is not None and until > trained:
        found += _labels(system, lake, trained, until)
    return found


def trained_until(system: System, models: ModelRegistry) -> datetime | None:
    """What the newest training knew: the champion's, or that of a later challenger."""
    known = [
        datetime.fromisoformat(models.card(system, alias).training_set["as_of"])
        for alias in ("champion", "challenger")
        if models.alias(system, alias)
    ]
    return max(known, default=None)


def monitored_days(lake: Lake, system: System, since: date) -> list[date]:
    """Days of `<system>/monitoring` that may call for a training, newest first.

    The newest, and of the week before it those that the newest training did not know: several days
    may be monitored at once.
    """
    table = f"{system.name}/monitoring"
    if not lake.exists(table):
        return []
    days = lake.query(
        f"select distinct day::date as day from ({lake.scan(table)}) order by day desc limit {WEEK}"
    )["day"].to_list()
    return [day for day in days if day == days[0] or day >= since]


def _monitored(
    system: System, lake: Lake, find: Mapping[Kind, Find], since: date
) -> Iterator[Stimulus]:
    days = monitored_days(lake, system, since)
    for kind, look in find.items():
        for day in days:
            if found := look(lake, system, day):
                yield Stimulus(kind, str(day), str(found))
                # What was wrong before is the same story.
                break


def _labels(system: System, lake: Lake, since: datetime, until: datetime) -> Iterator[Stimulus]:
    """Analysts' labels that the newest training did not have, by whole lots."""
    rule = system.retraining
    if system.outcomes is None:
        return
    new = system.outcomes(lake, until).filter(
        pl.col("source").is_in(rule.label_sources) & (pl.col("arrived_at") >= since)
    )
    count = new["request_id"].n_unique()
    if lots := count // rule.fewest_labels:
        text = f"{count} labels of analysts since {since:%Y-%m-%d %H:%M}"
        yield Stimulus("labels", f"{since:%Y%m%dT%H%M%S}.{lots}", text)
