"""Columns of one request in two blocks, and reading many columns at once.

A request has some three hundred columns of length one. Made as arrays one by one they cost more
than the model, so `RequestColumns` keeps all numbers in one float64 block and all times in one
int64 block, with positions worked out once per service. It is a `Columns` like any other; `Gather`
reads many of its columns in one call, and does the same with the dictionary of a batch:

    PLAIN = Gather(("amount", "card_payment_count_30d"))   # once, at import
    rows = PLAIN(columns)                                  # (2, n) float64, a copy
    PLAIN(columns, out=matrix[:2])                         # into (2, n), contiguous
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.candidates import Retrieved
from agora.pipeline import MISSING_TIME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agora.features import FeatureSet
    from agora.pipeline import Columns

Array = np.ndarray[Any, Any]
NAN = float("nan")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Gather:
    """Reads some columns at once: all numbers, or all times. Made once, not per request.

    Attributes:
        names: The columns, in the order in which they are read.
    """

    __slots__ = ("names",)

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)

    def __call__(self, columns: Columns, out: Array | None = None) -> Array:
        """The columns as rows, (len(names), n): float64, or int64 microseconds for times.

        Args:
            columns: Of one request or of a batch.
            out: Where to write them: C-contiguous, (len(names), n).
        """
        # By type: `isinstance` asks the abstract class, four times as long for each gather.
        if type(columns) is RequestColumns:
            return columns.gather(self, out)
        if type(columns) is Retrieved:
            return self(columns.asked, out)
        arrays = [columns[name] for name in self.names]
        flat = None if out is None else out.reshape(-1)
        shape = (len(arrays), len(arrays[0]))
        return np.concatenate(arrays, out=flat).reshape(shape)


class RequestLayout:
    """Where each column of a request is found: feature columns first, then the request's own.

    Attributes:
        feature_sets: What is looked up, in the order of the rows' values.
    """

    def __init__(
        self,
        feature_sets: Sequence[FeatureSet],
        strings: Sequence[str],
        numbers: Sequence[str],
        times: Sequence[str],
        objects: Mapping[str, Callable[[Any], Any]] | None = None,
    ) -> None:
        """Work out the positions.

        Args:
            feature_sets: What is looked up.
            strings: Text fields of the request.
            numbers: Number fields.
            times: Time fields; `event_at` is added where it is not one of them.
            objects: Fields that are lists or objects, each with what makes a column's value of it.
        """
        self.feature_sets = tuple(feature_sets)
        self._strings, self._numbers = tuple(strings), tuple(numbers)
        self._times = (*times,) if "event_at" in times else (*times, "event_at")
        self._packer = struct.Struct(f"<{len(numbers)}d")
        features = [column for each in feature_sets for column in each.columns]
        stamps = [each.time_column for each in feature_sets]
        self.number_at = {name: at for at, name in enumerate((*features, *numbers))}
        self.time_at = {name: at for at, name in enumerate((*stamps, *self._times))}
        self.text = frozenset(strings)
        self.objects = dict(objects or {})
        self.names = (*self.number_at, *self.time_at, *strings, *self.objects)
        self._places: dict[Gather, tuple[bool, Array]] = {}

    def columns(
        self, values: bytes, feature_at: Sequence[int], fields: Mapping[str, Any], now: int
    ) -> RequestColumns:
        """The columns of one request.

        Args:
            values: Features of all sets end to end, little-endian float64.
            feature_at: Microseconds since the epoch by set; `MISSING_TIME` where there is no row.
            fields: The request's fields.
            now: Its `event_at` where it has no such field.
        """
        own = [fields[name] for name in self._numbers]
        packed = self._packer.pack(*[NAN if value is None else value for value in own])
        numbers = np.frombuffer(values + packed)
        times = [microseconds(fields[name]) if name in fields else now for name in self._times]
        return RequestColumns(self, numbers, np.array([*feature_at, *times]), fields)

    def places(self, gather: Gather) -> tuple[bool, Array]:
        """Whether the columns are times, and their positions.

        Raises:
            KeyError: There is no such column, or numbers and times are mixed.
        """
        found = self._places.get(gather)
        if found is None:
            is_time = gather.names[0] in self.time_at
            held = self.time_at if is_time else self.number_at
            found = is_time, np.array([held[name] for name in gather.names])
            self._places[gather] = found
        return found


class RequestColumns(Mapping[str, Array]):
    """Columns of one request; read-only."""

    __slots__ = ("_fields", "_layout", "numbers", "times")

    def __init__(
        self, layout: RequestLayout, numbers: Array, times: Array, fields: Mapping[str, Any]
    ) -> None:
        self._layout = layout
        self.numbers = numbers
        self.times = times
        self._fields = fields

    def __getitem__(self, name: str) -> Array:
        """One column, of length one."""
        layout = self._layout
        at = layout.number_at.get(name)
        if at is not None:
            return self.numbers[at : at + 1]
        at = layout.time_at.get(name)
        if at is not None:
            return self.times[at : at + 1]
        column = np.empty(1, dtype=object)
        if name in layout.text:
            column[0] = self._fields[name]
        else:
            column[0] = layout.objects[name](self._fields[name])
        return column

    def __iter__(self) -> Iterator[str]:
        return iter(self._layout.names)

    def __len__(self) -> int:
        return len(self._layout.names)

    @property
    def event_at(self) -> int:
        """When the event happened, microseconds since the epoch."""
        return int(self.times[self._layout.time_at["event_at"]])

    def gather(self, gather: Gather, out: Array | None = None) -> Array:
        """What `Gather` asks for, (len(names), 1)."""
        is_time, places = self._layout.places(gather)
        block = self.times if is_time else self.numbers
        found = block.take(places)
        if out is None:
            return found.reshape(-1, 1)
        out[:, 0] = found
        return out


def microseconds(value: datetime | None) -> int:
    """Microseconds since the epoch; a time without a zone is UTC."""
    if value is None:
        return MISSING_TIME
    return ((value if value.tzinfo else value.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND
