"""Random streams: one per part of the simulator, so that a new part changes no other."""

from __future__ import annotations

from zlib import crc32

import numpy as np


def stream(seed: int, part: str) -> np.random.Generator:
    """The random numbers of one part; they depend on the seed and the part's name only."""
    return np.random.Generator(
        np.random.PCG64(np.random.SeedSequence([seed, crc32(part.encode())]))
    )
