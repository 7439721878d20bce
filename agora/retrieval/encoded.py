"""Vectors of texts that were encoded before, kept in a folder: encoding is what costs.

One pair of files per batch of new texts; a batch that was not finished is not there.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agora.retrieval.encoder import Encoder
    from agora.retrieval.hits import Array

# Texts per batch: what is lost when an encoding is interrupted.
BATCH = 2_048
KEY = "S32"


class EncodedTexts:
    """A folder of encoded texts, of one encoder.

    Args:
        encoder: Encodes what is not there yet.
        folder: Where vectors are kept; a subfolder per encoder's fingerprint.
    """

    def __init__(self, encoder: Encoder, folder: Path) -> None:
        self._encoder = encoder
        self._folder = folder / encoder.fingerprint
        self._folder.mkdir(parents=True, exist_ok=True)

    def vectors(self, texts: Sequence[str]) -> Array:
        """The texts' vectors, float32 (n, width); those of new texts are kept."""
        keys = keys_of(texts)
        known, vectors = self._kept(keys)
        new, first = np.unique(keys[~known], return_index=True)
        at = np.flatnonzero(~known)[first]
        # Texts of like length together.
        at = at[np.argsort([len(texts[each]) for each in at.tolist()], kind="stable")]
        for start in range(0, len(new), BATCH):
            some = at[start : start + BATCH]
            self._keep(keys[some], self._encoder.texts([texts[each] for each in some.tolist()]))
        if len(new):
            _, vectors = self._kept(keys)
        return vectors

    def _kept(self, keys: Array) -> tuple[Array, Array]:
        """Which keys are there, (n,), and their vectors; zeros where not."""
        known = np.zeros(len(keys), bool)
        vectors = np.zeros((len(keys), self._encoder.width), np.float32)
        for file in sorted(self._folder.glob("*.npz")):
            with np.load(file) as part:
                kept = part["keys"]
                at = np.searchsorted(kept, keys).clip(max=len(kept) - 1)
                here = (kept[at] == keys) & ~known
                if here.any():
                    vectors[here] = part["vectors"][at[here]]
                    known |= here
        return known, vectors

    def _keep(self, keys: Array, vectors: Array) -> None:
        order = np.argsort(keys)
        name = hashlib.sha256(keys[order].tobytes()).hexdigest()[:16]
        draft = self._folder / f".{name}.tmp"
        with draft.open("wb") as file:
            np.savez(file, keys=keys[order], vectors=vectors[order])
        draft.replace(self._folder / f"{name}.npz")


def keys_of(texts: Sequence[str]) -> Array:
    """What a text is kept by: 128 bits of its hash."""
    found = [hashlib.sha256(text.encode("utf-8", "ignore")).hexdigest()[:32] for text in texts]
    return np.array(found, KEY)
