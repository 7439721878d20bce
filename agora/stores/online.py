"""The online store: the newest row of each entity and feature set, read in one round trip.

The protocol, then its in-memory adapter, which is the readable specification. The Valkey adapter is
in `agora.stores.valkey`, with `open_online`.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from agora.pipeline import MISSING_TIME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agora.features import FeatureSet


@dataclass(frozen=True, slots=True)
class OnlineRows:
    """What a read returns for one feature set, in the order of the ids asked for.

    The arrays may be read-only.

    Attributes:
        values: (n, width) float64; the set's defaults where there is no row.
        feature_at: (n,) int64 microseconds UTC; `MISSING_TIME` where there is no row.
        arrived_at: The same; with `feature_at` it names the row.
    """

    values: np.ndarray[Any, Any]
    feature_at: np.ndarray[Any, Any]
    arrived_at: np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class RequestRows:
    """The newest row of several feature sets for one request, in the order asked for.

    Attributes:
        values: Values of all sets end to end, little-endian float64; a set's defaults where there
            is no row.
        feature_at: Microseconds UTC by set; `MISSING_TIME` where there is no row.
        arrived_at: The same; with `feature_at` it names the row.
        kept: What `keep` left under the key asked for; None where there is nothing.
    """

    values: bytes
    feature_at: Sequence[int]
    arrived_at: Sequence[int]
    kept: bytes | None = None


class OnlineStore(Protocol):
    """Port of the online store; one store may be shared between threads.

    A store that does not answer raises `ConnectionError`, one that does not in time `TimeoutError`.
    """

    def write(
        self,
        feature_set: FeatureSet,
        ids: Sequence[str],
        feature_at: np.ndarray[Any, Any],
        arrived_at: np.ndarray[Any, Any],
        values: np.ndarray[Any, Any],
    ) -> int:
        """Keep each row that is newer, by (feature_at, arrived_at), than the one held.

        Returns how many were.

        Raises:
            ValueError: An argument's shape or type is wrong; nothing was written.
        """
        ...

    def read(self, wanted: Sequence[tuple[FeatureSet, Sequence[str | None]]]) -> list[OnlineRows]:
        """Rows of several feature sets in one round trip. A None id has no row."""
        ...

    def read_request(
        self,
        feature_sets: Sequence[FeatureSet],
        ids: Sequence[str | None],
        key: str | None = None,
    ) -> RequestRows:
        """What `read` gives for one id by set, at a fraction of its cost.

        Args:
            feature_sets: What to read; pass the same object each time.
            ids: By set, whose row; a None id has none.
            key: Of a value that `keep` may have left.
        """
        ...

    def keep(self, values: Mapping[str, bytes], seconds: float) -> None:
        """Keep small values beside the rows for some seconds, for other processes to read."""
        ...

    def ping(self) -> bool:
        """Whether the store answers."""
        ...

    def close(self) -> None:
        """Give connections back."""
        ...


class MemoryOnlineStore:
    """The online store in a dictionary: what every adapter must do, and a store for one process."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], tuple[tuple[int, int], np.ndarray[Any, Any]]] = {}
        self._kept: dict[str, tuple[float, bytes]] = {}
        self._lock = threading.Lock()

    def write(
        self,
        feature_set: FeatureSet,
        ids: Sequence[str],
        feature_at: np.ndarray[Any, Any],
        arrived_at: np.ndarray[Any, Any],
        values: np.ndarray[Any, Any],
    ) -> int:
        """Keep each row that is newer, by (feature_at, arrived_at), than the one held."""
        check_rows(feature_set, ids, feature_at, arrived_at, values)
        written = 0
        rows = zip(ids, feature_at.tolist(), arrived_at.tolist(), values.copy(), strict=True)
        with self._lock:
            for entity_id, feature, arrived, row in rows:
                held = self._rows.get((feature_set.id, entity_id))
                if held is None or (feature, arrived) > held[0]:
                    self._rows[feature_set.id, entity_id] = ((feature, arrived), row)
                    written += 1
        return written

    def read(self, wanted: Sequence[tuple[FeatureSet, Sequence[str | None]]]) -> list[OnlineRows]:
        """Rows of several feature sets; a None id has no row."""
        answer = []
        for feature_set, ids in wanted:
            values = np.tile(np.array(feature_set.defaults, dtype=np.float64), (len(ids), 1))
            feature_at = np.full(len(ids), MISSING_TIME, dtype=np.int64)
            arrived_at = feature_at.copy()
            for position, entity_id in enumerate(ids):
                held = self._rows.get((feature_set.id, entity_id or ""))
                if held is not None:
                    (feature_at[position], arrived_at[position]), values[position] = held
            answer.append(OnlineRows(values, feature_at, arrived_at))
        return answer

    def read_request(
        self,
        feature_sets: Sequence[FeatureSet],
        ids: Sequence[str | None],
        key: str | None = None,
    ) -> RequestRows:
        """One row by set, and a value that was kept."""
        wanted = [(each, (entity_id,)) for each, entity_id in zip(feature_sets, ids, strict=True)]
        until, kept = self._kept.get(key or "", (0.0, b""))
        return end_to_end(self.read(wanted), kept if until > time.monotonic() else None)

    def keep(self, values: Mapping[str, bytes], seconds: float) -> None:
        """Keep small values for some seconds."""
        until = time.monotonic() + seconds
        self._kept.update((key, (until, value)) for key, value in values.items())

    def ping(self) -> bool:
        """A dictionary always answers."""
        return True

    def close(self) -> None:
        """Nothing is held open."""


def end_to_end(rows: Sequence[OnlineRows], kept: bytes | None = None) -> RequestRows:
    """Rows of one request as one value."""
    return RequestRows(
        b"".join(row.values[0].astype("<f8").tobytes() for row in rows),
        [int(row.feature_at[0]) for row in rows],
        [int(row.arrived_at[0]) for row in rows],
        kept,
    )


def absent_rows(feature_sets: Sequence[FeatureSet]) -> RequestRows:
    """What a request gets without a store: no rows, so every set's defaults."""
    never = [MISSING_TIME] * len(feature_sets)
    defaults = [np.array(each.defaults, dtype="<f8").tobytes() for each in feature_sets]
    return RequestRows(b"".join(defaults), never, never)


def check_rows(
    feature_set: FeatureSet,
    ids: Sequence[str],
    feature_at: np.ndarray[Any, Any],
    arrived_at: np.ndarray[Any, Any],
    values: np.ndarray[Any, Any],
) -> None:
    """Refuse rows that do not fit the feature set, before any is written.

    Raises:
        ValueError: Names the set, the argument and what is wrong with it.
    """
    expected = (len(ids), len(feature_set.features))
    if values.shape != expected or values.dtype != np.float64:
        raise ValueError(
            f"{feature_set.id}: values must be float64 of shape {expected}, "
            f"got {values.dtype} of shape {values.shape}"
        )
    for name, times in (("feature_at", feature_at), ("arrived_at", arrived_at)):
        if times.shape != (len(ids),) or times.dtype != np.int64:
            raise ValueError(
                f"{feature_set.id}: {name} must be int64 of shape ({len(ids)},), "
                f"got {times.dtype} of shape {times.shape}"
            )
        if (times == MISSING_TIME).any():
            raise ValueError(f"{feature_set.id}: {name} has a missing time")
    if not all(isinstance(entity_id, str) and entity_id for entity_id in ids):
        raise ValueError(f"{feature_set.id}: ids must be strings that are not empty")


__all__ = ["MISSING_TIME", "MemoryOnlineStore", "OnlineRows", "OnlineStore", "check_rows"]
