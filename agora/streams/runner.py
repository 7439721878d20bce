"""The runner: events to online features within a second or two, and to Delta exactly once.

A batch is read, taken, computed and written online; every few seconds what came together goes to
the lake. The last commit of a flush, that of `stream/<topic>`, is the stream's position: whatever
a kill interrupts is read again from there, gives the same rows, and what the other tables have
already is left out. Online rows are written before the flush; writing them again changes nothing.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl
import polars.selectors as cs
import structlog

from agora.ingest.rejects import QUARANTINE
from agora.stores import embedded
from agora.stores.lake import Lake
from agora.streams.features import Computer
from agora.streams.intake import take
from agora.streams.landing import land
from agora.streams.memory import Memory
from agora.streams.models import moment
from agora.streams.sink import Sink
from agora.streams.tables import feature_schema, taken_schema

if TYPE_CHECKING:
    import threading

    from agora.features import FeatureSet
    from agora.settings import Settings
    from agora.stores.events import Batch, EventStore
    from agora.stores.online import OnlineStore
    from agora.streams.intake import Intake
    from agora.streams.models import Model
    from agora.streams.topics import Topic

log = structlog.get_logger(__name__)

GROUP = "features"
READ_EVENTS = 5_000
READ_WAIT = 0.5
# Fewer commits are cheaper, and only the lake is behind in the meantime.
FLUSH_SECONDS = 10.0
FLUSH_ROWS = 50_000
# So old may the last commit of a stream that runs be: a commit says that it does.
BEAT_SECONDS = 300.0
# The batch has had days that are older; what the memory looks up there is in its marts.
KEPT = timedelta(days=14)
PAUSE_SECONDS = 1.0
# Batches begin at least this far apart while they are small: one of ten events costs as much as one
# of five hundred.
GAP_SECONDS = 0.4
SMALL_EVENTS = 1_000


@dataclass
class _Pending:
    """What came since the last flush."""

    taken: list[pl.DataFrame] = field(default_factory=list)
    rejected: list[pl.DataFrame] = field(default_factory=list)
    features: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    rows: int = 0
    since: float = field(default_factory=time.monotonic)


class Runner:
    """One run over a topic; a killed one is continued by the next.

    Args:
        settings: Where files land.
        topic: What is taken.
        models: What is computed, in order.
        events: Where events come from.
        online: Where the newest rows go.
    """

    def __init__(
        self,
        settings: Settings,
        topic: Topic,
        models: list[Model],
        events: EventStore,
        online: OnlineStore,
    ) -> None:
        lake = Lake(settings.lake, settings.lake_options)
        self._settings, self._lake, self._topic, self._models = settings, lake, topic, models
        self.lake_root = lake.root
        self._events, self._online = events, online
        self._sets: list[FeatureSet] = [model.feature_set for model in models]
        self._features = {
            each.name: Sink(
                lake, f"stream/{each.name}", feature_schema(each), "feature_date", topic.name
            )
            for each in self._sets
        }
        self._rejects = Sink(
            lake, f"quarantine/stream_{topic.name}",
            pl.DataFrame(schema=QUARANTINE).to_arrow().schema, "arrival_date", topic.name,
        )  # fmt: skip
        self._taken = Sink(
            lake, f"stream/{topic.name}", taken_schema(topic), "arrival_date", topic.name
        )
        self.position, self.watermark = self._taken.position, self._taken.watermark
        self._memory: Memory | None = None
        self._computer: Computer | None = None
        self._pending = _Pending()
        # Rows that the online store does not have yet, by set.
        self._unwritten: dict[str, list[pl.DataFrame]] = {}
        self._landed = self._committed = time.monotonic()

    def run(self, once: bool, stop: threading.Event) -> int:
        """Read until there is nothing left or the run is stopped, then flush and land."""
        taken = 0
        while not stop.is_set():
            began = time.monotonic()
            try:
                count = self.turn()
            except (ConnectionError, TimeoutError) as error:
                if once:
                    raise
                self._recover(error)
                continue
            if once and not count:
                break
            taken += count
            if not once and count < SMALL_EVENTS:
                time.sleep(max(0.0, GAP_SECONDS - (time.monotonic() - began)))
        self.flush()
        self.land()
        return taken

    def turn(self) -> int:
        """Read a batch, take it, write it online; flush when it is time. Returns the events read.

        Raises:
            ConnectionError: A store is gone: nothing more is read before it has what it lacks.
        """
        self._publish()
        batch = self._events.read(self._topic.name, self.position, READ_EVENTS, READ_WAIT)
        if batch:
            self.take(batch)
            self._publish()
        late = time.monotonic() - self._pending.since > FLUSH_SECONDS
        if late or self._pending.rows > FLUSH_ROWS:
            self.flush()
        if time.monotonic() - self._landed > self._topic.land_seconds:
            self.land()
        return len(batch)

    def take(self, batch: Batch) -> None:
        """Make rows of a batch; they wait to be written."""
        if self._memory is None or self._computer is None:
            now = max(batch.arrived_at[0], self.watermark)
            self._memory = Memory(self._lake, self._topic, now)
            self._computer = Computer(self._models, self._memory)
        intake = take(batch, self._topic, self._memory, self.watermark)
        if intake.accepted.height:
            self._memory.add(intake.accepted)
            for name, rows in self._computer.compute(intake.accepted).items():
                self._pending.features.setdefault(name, []).append(rows)
                self._unwritten.setdefault(name, []).append(rows)
        self._keep(intake)

    def flush(self) -> None:
        """Bring what came since the last flush into the lake, the position last."""
        self._publish()
        pending, self._pending = self._pending, _Pending()
        idle = self.position == self._taken.position
        if idle and time.monotonic() - self._committed < BEAT_SECONDS:
            return
        self._append(self._rejects, pending.rejected)
        for name, sink in self._features.items():
            self._append(sink, pending.features.get(name, []))
        empty = pl.DataFrame(self._taken.schema.empty_table())
        self._taken.append(pl.concat([empty, *pending.taken]), self.position, self.watermark)
        self._committed = time.monotonic()
        if self._memory is not None:
            self._memory.forget(self.watermark)
        self._events.commit(self._topic.name, GROUP, self.position)
        self._events.trim(self._topic.name)

    def land(self) -> None:
        """Give the batch what the lake has of the stream; then let old days go."""
        land(self._settings, self._topic.name, self._topic.table)
        self._landed = time.monotonic()
        for sink in (*self._features.values(), self._taken):
            sink.forget(moment(self.watermark).date() - KEPT)

    def close(self) -> None:
        """Give threads back."""
        if self._computer is not None:
            self._computer.close()

    def _recover(self, error: Exception) -> None:
        """Wait for a store; what was taken stays. The embedded one is started again."""
        log.warning("stream_waits", reason=str(error))
        time.sleep(PAUSE_SECONDS)
        if not (self._settings.events_url and self._settings.online_url):
            with contextlib.suppress(ConnectionError):
                embedded.start(self._settings.home / "online")

    def _publish(self) -> None:
        """Write the newest rows online."""
        for feature_set in self._sets:
            if frames := self._unwritten.get(feature_set.name):
                self._write_online(feature_set, pl.concat(frames))
                del self._unwritten[feature_set.name]

    def _keep(self, intake: Intake) -> None:
        day = pl.col("arrived_at").dt.date().alias("arrival_date")
        rows = intake.accepted.drop("content").with_columns(day)
        self._pending.taken.append(rows.select(self._taken.schema.names))
        self._pending.rejected.append(intake.rejected)
        self._pending.rows += rows.height
        self.position, self.watermark = intake.position, intake.watermark
        if intake.duplicates or intake.rejected.height:
            log.info("stream_set_aside", topic=self._topic.name, duplicates=intake.duplicates,
                     rejected=intake.rejected.height)  # fmt: skip

    def _write_online(self, feature_set: FeatureSet, rows: pl.DataFrame) -> None:
        key = feature_set.entity.key
        newest = rows.sort("feature_at", "arrived_at").unique(key, keep="last")
        self._online.write(
            feature_set,
            newest[key].to_list(),
            newest["feature_at"].to_physical().to_numpy(),
            newest["arrived_at"].to_physical().to_numpy(),
            newest.select(cs.by_name(*feature_set.names).fill_null(float("nan"))).to_numpy(),
        )

    def _append(self, sink: Sink, frames: list[pl.DataFrame]) -> None:
        """Append what the table does not have yet."""
        if not frames or sink.position >= self.position:
            return
        rows = pl.concat(frames)
        if "arrived_at" in rows.columns:
            rows = rows.filter(pl.col("arrived_at").to_physical() > sink.watermark)
        else:
            rows = rows.filter(pl.col("row_number") > sink.position)
        if rows.height:
            sink.append(rows.select(sink.schema.names), self.position, self.watermark)
