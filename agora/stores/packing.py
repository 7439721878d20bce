"""How the online store's values are packed: a tag of the set's columns, two times, the features.

Times are big-endian with the sign bit flipped, so that the server compares them as whole numbers
without rounding them to doubles. A value of another tag or length was cut or written under another
schema: no row.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.pipeline import MISSING_TIME
from agora.stores.online import OnlineRows, RequestRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.features import FeatureSet

Array = np.ndarray[Any, Any]

SIGN = 1 << 63
# Of a value: the tag and two times.
HEADER = 24


@dataclass(frozen=True, slots=True)
class Layout:
    """How a feature set's rows are packed."""

    prefix: str
    tag: bytes
    dtype: np.dtype[Any]
    defaults: Array
    width: int
    size: int
    absent: bytes


@lru_cache(maxsize=1024)
def layout_of(feature_set: FeatureSet) -> Layout:
    """A set's layout; its tag changes with its columns."""
    width = len(feature_set.features)
    dtype = np.dtype(
        [("tag", "V8"), ("feature_at", ">u8"), ("arrived_at", ">u8"), ("values", "<f8", (width,))]
    )
    schema = "\n".join((feature_set.id, *feature_set.names)).encode()
    defaults = np.array([feature_set.defaults], dtype=np.float64).reshape(1, width)
    defaults.flags.writeable = False
    tag = hashlib.sha256(schema).digest()[:8]
    # MISSING_TIME with its sign bit flipped is zero.
    absent = tag + bytes(HEADER - len(tag)) + defaults.astype("<f8").tobytes()
    return Layout(f"agora:{feature_set.id}:", tag, dtype, defaults, width, dtype.itemsize, absent)


def pack(layout: Layout, feature_at: Array, arrived_at: Array, values: Array) -> bytes:
    """Rows end to end, from their times (n,) and values (n, width)."""
    rows = np.empty(len(values), dtype=layout.dtype)
    rows["tag"] = np.void(layout.tag)
    rows["feature_at"] = feature_at.view(np.uint64) ^ np.uint64(SIGN)
    rows["arrived_at"] = arrived_at.view(np.uint64) ^ np.uint64(SIGN)
    rows["values"] = values
    return rows.tobytes()


def unpack_request(
    layouts: Sequence[Layout], found: Sequence[bytes | None], kept: bytes | None
) -> RequestRows:
    """One row by set: values are joined and not looked into."""
    rows = [
        value
        if value is not None and len(value) == layout.size and value[:8] == layout.tag
        else layout.absent
        for layout, value in zip(layouts, found, strict=True)
    ]
    times = np.frombuffer(b"".join([row[8:HEADER] for row in rows]), ">u8")
    flipped = (times ^ np.uint64(SIGN)).view(np.int64).tolist()
    values = b"".join([row[HEADER:] for row in rows])
    return RequestRows(values, flipped[::2], flipped[1::2], kept)


def unpack(layout: Layout, found: Sequence[bytes | None]) -> OnlineRows:
    """Rows of one set; where there is none, its defaults."""
    whole = [
        value is not None and len(value) == layout.size and value[:8] == layout.tag
        for value in found
    ]
    known = np.array(whole, dtype=bool)
    rows = np.frombuffer(
        b"".join(value for value, good in zip(found, whole, strict=True) if good and value),
        dtype=layout.dtype,
    )
    values = np.repeat(layout.defaults, len(found), axis=0)
    values[known] = rows["values"]
    feature_at = np.full(len(found), MISSING_TIME, dtype=np.int64)
    arrived_at = feature_at.copy()
    for name, times in (("feature_at", feature_at), ("arrived_at", arrived_at)):
        times[known] = (rows[name].astype(np.uint64) ^ np.uint64(SIGN)).view(np.int64)
    return OnlineRows(values, feature_at, arrived_at)
