"""Which topics are streamed: what arrives there, and the feature sets that it keeps fresh.

A topic has the name of its landing contract, of the mart that the models read, and of the table
`stream/<name>`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from agora.entities import FEATURE_SETS
from agora.schema import ARRIVED_AT, EVENT_AT, schema_of
from agora.tables import INTERACTIONS, PAYMENTS

if TYPE_CHECKING:
    from agora.schema import Table

HOUR, DAY = timedelta(hours=1), timedelta(hours=24)
CONTENT = "content"
AHEAD = timedelta(minutes=5)
"""How far a producer's clock may be ahead of the log's. An event further ahead would stand for the
newest of its entity, and its windows, until that time comes."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """A feature set that a topic keeps fresh, and how far back it looks.

    Attributes:
        name: The set.
        window: Its longest window, or nothing where it counts events instead.
        newest: How many of its entity's newest events it tells, however old they are.
    """

    name: str
    window: timedelta | None = None
    newest: int = 0


@dataclass(frozen=True)
class Topic:
    """A topic of the event log that is streamed.

    Attributes:
        table: Contract of its events; its key is one column.
        fresh: What it keeps fresh; a set that stands on another's rows comes after it. At most one
            counts events.
        values: Columns that the SQL reads beside keys and times.
        horizon: How far back every event is held: the longest window, an hour of lateness and one
            to spare, and no less than the day within which a repeated event is recognised.
        looked_back: No set looks further back.
        land_seconds: How often files for the batch are dropped: ingestion reads each of its day.
    """

    table: Table
    fresh: tuple[Fresh, ...]
    values: tuple[str, ...]
    horizon: timedelta = timedelta(hours=26)
    looked_back: timedelta = timedelta(days=62)
    land_seconds: float = 300.0

    @property
    def name(self) -> str:
        """Of the topic, the contract and the mart."""
        return self.table.name

    @property
    def sets(self) -> tuple[Fresh, ...]:
        """What it keeps fresh of the sets that this house has."""
        return tuple(each for each in self.fresh if each.name in FEATURE_SETS)

    @property
    def id(self) -> str:
        """Column that names an event; a later version of it replaces the earlier."""
        return self.table.key[0]

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Columns by which events are looked up: their own id and those of the entities."""
        entities = (FEATURE_SETS[each.name].entity.key for each in self.sets)
        return tuple(dict.fromkeys((self.id, *entities)))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """What is held of an event: what the SQL reads, and a hash of all that the event said."""
        return (*self.keys, *self.values, EVENT_AT.name, ARRIVED_AT.name, CONTENT)

    @cached_property
    def counted(self) -> tuple[str, int]:
        """Entity whose newest events are told one by one, and how many; none: 0."""
        for each in self.sets:
            if each.newest:
                return FEATURE_SETS[each.name].entity.key, each.newest
        return self.id, 0

    @cached_property
    def said(self) -> tuple[str, ...]:
        """What an event says: the arrival is the log's."""
        return tuple(name for name in self.table.names if name != ARRIVED_AT.name)

    @cached_property
    def nothing(self) -> pl.DataFrame:
        """No events, with the columns that are held."""
        kinds = {**schema_of(self.table), CONTENT: pl.UInt64()}
        return pl.DataFrame(schema={name: kinds[name] for name in self.columns})


PAYMENT_EVENTS = Topic(
    table=PAYMENTS,
    fresh=(
        Fresh("cards__recent", window=DAY),
        Fresh("customers__recent", window=DAY),
        Fresh("merchants__recent", window=HOUR),
        Fresh("devices__recent", window=DAY),
        Fresh("cards__sequence", newest=16),
    ),
    values=("amount", "channel", "latitude", "longitude"),
)
INTERACTION_EVENTS = Topic(
    table=INTERACTIONS,
    fresh=(Fresh("customers__interests", newest=24),),
    values=("product_id", "kind"),
    # Labels of lists should reach the incremental update within a minute or two.
    land_seconds=60.0,
)
TOPICS: dict[str, Topic] = {topic.name: topic for topic in (PAYMENT_EVENTS, INTERACTION_EVENTS)}
"""Every topic that `agora stream` takes, by name."""
