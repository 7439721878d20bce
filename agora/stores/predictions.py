"""The prediction log: what was answered, written down before it is answered.

A `Prediction` is the record. `PredictionLog` is the port; `MemoryPredictionLog` keeps records in a
list, `FilePredictionLog` appends them to segment files, from which `agora.stores.drain` moves them
into the lake. A record holds the caller's request: it belongs in the governed lake, never in a
text log.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import time
import zlib
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEADER = struct.Struct("<II")
SUFFIX = ".log"
# A segment is drained while it grows; rotation only bounds what one file holds.
SEGMENT_BYTES = 64 * 1024 * 1024
SEGMENT_SECONDS = 3600.0


class FeaturesUsed(msgspec.Struct, frozen=True, array_like=True):
    """One feature set as the model saw it.

    Attributes:
        feature_set: Id of the set, which names the columns.
        feature_at: Microseconds since the epoch; None where the entity had no row.
        values: Little-endian float64s in the set's order.
        arrived_at: When the row was known; with `feature_at` it names the row.
    """

    feature_set: str
    feature_at: int | None
    values: bytes
    arrived_at: int | None = None


class Prediction(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """One answer, with all that led to it.

    Fields are stored by position: a new field goes last and has a default.

    Attributes:
        prediction_id: Time-ordered id, known to the caller.
        system: System that answered.
        model_version: Model that answered.
        request_id: What the caller calls the request.
        entity_ids: Id by entity.
        request: The request as JSON.
        features: Features as used.
        score: Calibrated score.
        output: The answer as JSON.
        decision: The decision in it, for systems that decide.
        latencies: Nanoseconds by stage of the budgets; `inference/<tier>` for its parts.
        degraded: Whether a fallback answered.
        event_at: When the request's event happened, microseconds since the epoch.
        predicted_at: When it was answered, microseconds since the epoch.
        experiment: Experiment that the request took part in.
        arm: Its arm.
        propensity: Probability with which the arm, or the action, was chosen.
        tier: Tier of the cascade that gave the score.
        fallbacks: What did not answer: `store`, or the name of a tier; empty unless degraded.
        caller: Name of the API key that asked.
    """

    prediction_id: str
    system: str
    model_version: str
    request_id: str
    entity_ids: dict[str, str | None]
    request: str
    features: list[FeaturesUsed]
    score: float
    output: str
    decision: str | None
    latencies: dict[str, int]
    degraded: bool
    event_at: int
    predicted_at: int
    experiment: str | None = None
    arm: str | None = None
    propensity: float | None = None
    tier: str | None = None
    fallbacks: list[str] = []
    caller: str | None = None


class PredictionLog(Protocol):
    """Port of the prediction log."""

    def append(self, prediction: Prediction) -> None:
        """Keep the record; once this returns, the end of the process does not lose it."""
        ...

    def close(self) -> None:
        """Finish what was appended."""
        ...


class MemoryPredictionLog:
    """Keeps records in a list: for tests and for answers that are nobody's, as golden requests."""

    def __init__(self) -> None:
        self.predictions: list[Prediction] = []

    def append(self, prediction: Prediction) -> None:
        """Keep the record."""
        self.predictions.append(prediction)

    def close(self) -> None:
        """Nothing is open."""


class FilePredictionLog:
    """Appends records to this process's own segment files.

    Every record is one write(): it has reached the kernel when `append` returns, so a killed
    process loses nothing, and no call waits for anything but the local disk. A crash of the whole
    machine may lose the last seconds. The open segment carries an exclusive lock, by which `drain`
    knows that its writer lives.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        segment_seconds: float = SEGMENT_SECONDS,
    ) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._segment_seconds = segment_seconds
        self._encoder = msgspec.msgpack.Encoder()
        self._lock = threading.Lock()
        self._file = -1
        self._written = 0
        self._opened_at = 0.0

    def append(self, prediction: Prediction) -> None:
        """Write the record to the open segment.

        Raises:
            OSError: The disk refused it; the request must not be answered.
        """
        payload = self._encoder.encode(prediction)
        record = HEADER.pack(len(payload), zlib.crc32(payload)) + payload
        with self._lock:
            if self._file < 0 or self._is_full():
                self._rotate()
            try:
                written = os.write(self._file, record)
            except OSError:
                self._finish()
                raise
            if written != len(record):
                # What follows a torn record cannot be read: the next one opens a new segment.
                self._finish()
                raise OSError(f"wrote {written} of {len(record)} bytes to the prediction log")
            self._written += written

    def close(self) -> None:
        """Give the segment to `drain`."""
        with self._lock:
            self._finish()

    def _is_full(self) -> bool:
        age = time.monotonic() - self._opened_at
        return self._written >= self._segment_bytes or age >= self._segment_seconds

    def _rotate(self) -> None:
        self._finish()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{time.time_ns():020d}-{os.getpid()}{SUFFIX}"
        # Opened under a name that drain does not read: it must not find the segment unlocked.
        draft = path.with_suffix(".new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._file = os.open(draft, flags, mode=0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        draft.rename(path)
        self._written, self._opened_at = 0, time.monotonic()

    def _finish(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def read_segment(path: Path, offset: int = 0, limit: int = -1) -> Iterator[tuple[bytes, int]]:
    """Payloads of whole records from `offset`, each with the offset behind it.

    Stops before a torn record, and after `limit` bytes when it is not negative.
    """
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(limit)
    position = 0
    while position + HEADER.size <= len(data):
        length, checksum = HEADER.unpack_from(data, position)
        end = position + HEADER.size + length
        payload = data[position + HEADER.size : end]
        if end > len(data) or zlib.crc32(payload) != checksum:
            return
        yield payload, offset + end
        position = end
