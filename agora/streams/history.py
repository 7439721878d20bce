"""What the stream remembers: events of the horizon, found by any of their keys without a scan.

Rows stand in chunks with a sorted index per key. Small chunks are merged as they come, so that a
look-up is a binary search in few of them and costs what it finds, however much is held.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.streams.topics import CONTENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.streams.topics import Topic

Numbers = np.ndarray[Any, Any]

LARGEST = 65_536
# A chunk is merged into the one before it unless that one is this much larger.
RATIO = 4


@dataclass
class _Chunk:
    frame: pl.DataFrame
    keys: tuple[str, ...]
    event_at: Numbers = field(init=False)
    latest: int = field(init=False)
    index: dict[str, tuple[Numbers, Numbers]] = field(init=False)

    def __post_init__(self) -> None:
        self.event_at = self.frame["event_at"].to_physical().to_numpy()
        self.latest = int(self.event_at.max())
        self.index = {}
        for key in self.keys:
            hashes = hashed(self.frame[key])
            order = np.argsort(hashes, kind="stable").astype(np.int32)
            self.index[key] = (hashes[order], order)


class History:
    """Versions of a topic's events that were taken, in memory.

    Args:
        topic: Whose, and by which keys they are found.
    """

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._chunks: list[_Chunk] = []
        # Events of which there are several versions.
        self._corrected: Numbers = np.empty(0, dtype=np.uint64)

    def __len__(self) -> int:
        """Versions held."""
        return sum(len(chunk.frame) for chunk in self._chunks)

    def add(self, rows: pl.DataFrame) -> None:
        """Take versions, in the order of their arrival."""
        if rows.is_empty():
            return
        rows = rows.select(self._topic.columns)
        key = self._topic.id
        events = hashed(rows[key])
        _, counts = np.unique(events, return_counts=True)
        known = self._places(key, events)
        if known or (counts > 1).any():
            found = [hashed(chunk.frame[key])[at] for chunk, at in known]
            every = np.concatenate([events, *found])
            seen, counts = np.unique(every, return_counts=True)
            self._corrected = np.union1d(self._corrected, seen[counts > 1])
        for start in range(0, len(rows), LARGEST):
            self._chunks.append(self._chunk(rows[start : start + LARGEST]))
        self._merge()

    def versions(self, ids: pl.Series) -> pl.DataFrame:
        """All versions held of some events."""
        found = self._gathered(self._places(self._topic.id, hashed(ids.unique())))
        return found.filter(pl.col(self._topic.id).is_in(ids.implode()))

    def about(self, key: str, ids: pl.Series, since: Numbers | None = None) -> pl.DataFrame:
        """Everything that the SQL needs of some entities: a superset of it changes nothing.

        Args:
            key: Column of the entity's id.
            ids: The entities, each once.
            since: Per entity, microseconds: only events made after it are needed.
        """
        places = self._places(key, hashed(ids), since)
        found = self._gathered(places)
        if len(self._corrected) and len(found):
            # From when a version no longer holds is said by the next one, whosever it is.
            events = hashed(found[self._topic.id])
            several = np.unique(events[np.isin(events, self._corrected)])
            if len(several):
                others = self._gathered(self._places(self._topic.id, several))
                found = pl.concat([found, others]).unique([self._topic.id, "arrived_at"])
        return found

    def forget(self, before: int, oldest: int, key: str, newest: int) -> None:
        """Let events made before a moment go, but an entity's newest and what was corrected.

        Args:
            before: Chunks that hold nothing later are looked at: microseconds.
            oldest: What was made before it goes in any case.
            key: Column of the entity whose newest stay.
            newest: How many of them.
        """
        old = [chunk for chunk in self._chunks if chunk.latest < before]
        if not old:
            return
        frame = pl.concat([chunk.frame for chunk in old])
        corrected = pl.Series(np.isin(hashed(frame[self._topic.id]), self._corrected))
        order = pl.struct("event_at", self._topic.id, "arrived_at")
        rank = order.rank("ordinal", descending=True).over(key)
        kept = frame.filter(
            (pl.col("event_at").to_physical() > oldest) & ((rank <= newest) | corrected)
        )
        rest = [chunk for chunk in self._chunks if chunk.latest >= before]
        parts = [kept[at : at + LARGEST] for at in range(0, len(kept), LARGEST)]
        self._chunks = [*(self._chunk(part) for part in parts), *rest]
        held = [np.isin(self._corrected, each.index[self._topic.id][0]) for each in self._chunks]
        if held:
            self._corrected = self._corrected[np.any(held, axis=0)]

    def _chunk(self, rows: pl.DataFrame) -> _Chunk:
        return _Chunk(rows, self._topic.keys)

    def _merge(self) -> None:
        while len(self._chunks) > 1:
            before, last = self._chunks[-2].frame, self._chunks[-1].frame
            together = len(before) + len(last)
            if together > LARGEST or len(before) > RATIO * len(last):
                return
            self._chunks[-2:] = [self._chunk(pl.concat([before, last], rechunk=True))]

    def _places(
        self, key: str, wanted: Numbers, since: Numbers | None = None
    ) -> list[tuple[_Chunk, Numbers]]:
        """Rows of the wanted hashes, by chunk. Two ids of one hash are found for each other."""
        places = []
        earliest = None if since is None or not len(since) else int(since.min())
        for chunk in self._chunks:
            if earliest is not None and chunk.latest <= earliest:
                continue
            hashes, order = chunk.index[key]
            low = np.searchsorted(hashes, wanted, "left")
            counts = np.searchsorted(hashes, wanted, "right") - low
            total = int(counts.sum())
            if not total:
                continue
            begins = np.repeat(low - np.cumsum(counts) + counts, counts)
            at = order[begins + np.arange(total)]
            if since is not None:
                at = at[chunk.event_at[at] > np.repeat(since, counts)]
            places.append((chunk, np.unique(at)))
        return places

    def _gathered(self, places: Sequence[tuple[_Chunk, Numbers]]) -> pl.DataFrame:
        frames = [chunk.frame[at] for chunk, at in places if len(at)]
        return pl.concat(frames) if frames else self._topic.nothing


def hashed(ids: pl.Series) -> Numbers:
    """Ids as whole numbers, the same throughout this process."""
    return ids.hash(seed=0).to_numpy()


def with_content(rows: pl.DataFrame, topic: Topic) -> pl.DataFrame:
    """Add the hash of what each row's event said: its key and its columns, not its arrival."""
    return rows.with_columns(pl.struct("event_key", *topic.said).hash(seed=0).alias(CONTENT))
