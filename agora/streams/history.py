"""What the stream remembers: payments of the horizon, found by any of their keys without a scan.

Rows stand in chunks with a sorted index per key. Small chunks are merged as they come, so that a
look-up is a binary search in few of them and costs what it finds, however much is held.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agora.schema import ARRIVED_AT
from agora.tables import PAYMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

Numbers = np.ndarray[Any, Any]

KEYS = ("payment_id", "customer_id", "card_id", "merchant_id", "device_id")
COLUMNS = (*KEYS, "amount", "channel", "latitude", "longitude", "event_at", "arrived_at", "content")
"""What the SQL reads, and `content`: a hash of everything that the event said."""
LARGEST = 65_536
# A chunk is merged into the one before it unless that one is this much larger.
RATIO = 4


@dataclass
class _Chunk:
    frame: pl.DataFrame
    event_at: Numbers = field(init=False)
    latest: int = field(init=False)
    index: dict[str, tuple[Numbers, Numbers]] = field(init=False)

    def __post_init__(self) -> None:
        self.event_at = self.frame["event_at"].to_physical().to_numpy()
        self.latest = int(self.event_at.max())
        self.index = {}
        for key in KEYS:
            hashes = hashed(self.frame[key])
            order = np.argsort(hashes, kind="stable").astype(np.int32)
            self.index[key] = (hashes[order], order)


class History:
    """Payment versions that were taken, in memory."""

    def __init__(self) -> None:
        self._chunks: list[_Chunk] = []
        # Payments of which there are several versions.
        self._corrected: Numbers = np.empty(0, dtype=np.uint64)

    def __len__(self) -> int:
        """Versions held."""
        return sum(len(chunk.frame) for chunk in self._chunks)

    def add(self, rows: pl.DataFrame) -> None:
        """Take versions, in the order of their arrival."""
        if rows.is_empty():
            return
        rows = rows.select(COLUMNS)
        payments = hashed(rows["payment_id"])
        _, counts = np.unique(payments, return_counts=True)
        known = self._places("payment_id", payments)
        if known or (counts > 1).any():
            found = [hashed(chunk.frame["payment_id"])[at] for chunk, at in known]
            every = np.concatenate([payments, *found])
            seen, counts = np.unique(every, return_counts=True)
            self._corrected = np.union1d(self._corrected, seen[counts > 1])
        for start in range(0, len(rows), LARGEST):
            self._chunks.append(_Chunk(rows[start : start + LARGEST]))
        self._merge()

    def versions(self, payment_ids: pl.Series) -> pl.DataFrame:
        """All versions held of some payments."""
        found = self._gathered(self._places("payment_id", hashed(payment_ids.unique())))
        return found.filter(pl.col("payment_id").is_in(payment_ids.implode()))

    def about(self, key: str, ids: pl.Series, since: Numbers | None = None) -> pl.DataFrame:
        """Everything that the SQL needs of some entities: a superset of it changes nothing.

        Args:
            key: Column of the entity's id.
            ids: The entities, each once.
            since: Per entity, microseconds: only payments made after it are needed.
        """
        places = self._places(key, hashed(ids), since)
        found = self._gathered(places)
        if len(self._corrected) and len(found):
            # From when a version no longer holds is said by the next one, whosever it is.
            payments = hashed(found["payment_id"])
            several = np.unique(payments[np.isin(payments, self._corrected)])
            if len(several):
                others = self._gathered(self._places("payment_id", several))
                found = pl.concat([found, others]).unique(["payment_id", "arrived_at"])
        return found

    def forget(self, before: int, oldest: int, per_card: int) -> None:
        """Let payments made before a moment go, but each card's newest and what was corrected.

        Args:
            before: Chunks that hold nothing later are looked at: microseconds.
            oldest: What was made before it goes in any case.
            per_card: How many of a card's newest stay.
        """
        old = [chunk for chunk in self._chunks if chunk.latest < before]
        if not old:
            return
        frame = pl.concat([chunk.frame for chunk in old])
        corrected = pl.Series(np.isin(hashed(frame["payment_id"]), self._corrected))
        newest = pl.struct("event_at", "payment_id", "arrived_at").rank("ordinal", descending=True)
        kept = frame.filter(
            (pl.col("event_at").to_physical() > oldest)
            & ((newest.over("card_id") <= per_card) | corrected)
        )
        rest = [chunk for chunk in self._chunks if chunk.latest >= before]
        parts = [kept[at : at + LARGEST] for at in range(0, len(kept), LARGEST)]
        self._chunks = [*(_Chunk(part) for part in parts), *rest]
        held = [np.isin(self._corrected, each.index["payment_id"][0]) for each in self._chunks]
        if held:
            self._corrected = self._corrected[np.any(held, axis=0)]

    def _merge(self) -> None:
        while len(self._chunks) > 1:
            before, last = self._chunks[-2].frame, self._chunks[-1].frame
            together = len(before) + len(last)
            if together > LARGEST or len(before) > RATIO * len(last):
                return
            self._chunks[-2:] = [_Chunk(pl.concat([before, last], rechunk=True))]

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
        return pl.concat(frames) if frames else EMPTY


def hashed(ids: pl.Series) -> Numbers:
    """Ids as whole numbers, the same throughout this process."""
    return ids.hash(seed=0).to_numpy()


def with_content(rows: pl.DataFrame) -> pl.DataFrame:
    """Add the hash of what each row's event said: its key and its columns, not its arrival."""
    said = [name for name in PAYMENTS.names if name != ARRIVED_AT.name]
    return rows.with_columns(pl.struct("event_key", *said).hash(seed=0).alias("content"))


TIME = pl.Datetime("us", "UTC")
EMPTY = pl.DataFrame(
    schema={
        **dict.fromkeys((*KEYS, "channel"), pl.String),
        **dict.fromkeys(("amount", "latitude", "longitude"), pl.Float64),
        **dict.fromkeys(("event_at", "arrived_at"), TIME),
        "content": pl.UInt64,
    }
).select(COLUMNS)
