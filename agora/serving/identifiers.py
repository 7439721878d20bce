"""Ids of predictions."""

from __future__ import annotations

import os


def time_ordered_id(now: int) -> str:
    """A version 7 UUID: sorted by its microsecond, then random."""
    milliseconds, rest = divmod(now, 1000)
    # RFC 9562, method 3: 12 bits hold the fraction of the millisecond.
    fraction = rest * 4096 // 1000
    chance = int.from_bytes(os.urandom(8)) >> 2
    digits = f"{milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | chance:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
