"""Vectors of texts, by the packaged encoder; none where it is not there.

The encoder is no part of a saved pipeline: it is written once per instance from its package, and
vectors of texts are kept beside it, so that a new index encodes new texts only.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.retrieval.encoded import EncodedTexts
from agora.retrieval.encoder import CONFIGURATION, Encoder, packaged
from agora.retrieval.hits import RetrievalError
from agora.settings import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[Any, Any]

logger = logging.getLogger(__name__)
# Vectors of an index without an encoder: of any width, as none is there.
NO_WIDTH = 1
FILE = "projection.npy"
SAMPLE = 20_000


@dataclass(frozen=True)
class Meaning:
    """An encoder that may not be there.

    Attributes:
        encoder: None where it could not be opened.
        kept: Folder of the vectors of former texts.
        projection: To fewer numbers, (encoder's width, width); None leaves them as they are.
    """

    encoder: Encoder | None
    kept: Path | None = None
    projection: Array | None = None

    @classmethod
    def open(cls, name: str, *, quantised: bool) -> Meaning:
        """The encoder of this instance; without one where it cannot be had, which is logged."""
        home = settings().home / "encoders"
        try:
            return cls(_opened(home, name, quantised), home / "texts")
        except Exception as error:
            # Tokens, weights, runtime: each fails in ways of its own, and words still answer.
            logger.warning("search goes by words alone: %s", error)
            return cls(None)

    def texts(self, texts: Sequence[str]) -> tuple[Array, Array]:
        """Vectors of texts, (n, width), and which of them there are, (n,) bool."""
        nothing = np.zeros((len(texts), NO_WIDTH), np.float32), np.zeros(len(texts), bool)
        if self.encoder is None or self.kept is None:
            return nothing
        try:
            vectors = EncodedTexts(self.encoder, self.kept).vectors(texts)
            return self.projected(vectors), np.ones(len(texts), bool)
        except (RetrievalError, OSError) as error:
            logger.warning("texts are not encoded: %s", error)
            return nothing

    @cached_property
    def name(self) -> str:
        """What makes the vectors; empty without an encoder."""
        if self.encoder is None:
            return ""
        return f"{self.encoder.fingerprint}{_digest(self.projection)}"

    def narrowed(self, texts: Sequence[str], width: int) -> Meaning:
        """The same with vectors of at most so many numbers, those that tell most of some texts.

        Neighbours are then found in a third of the time and the memory. (Singular vectors, not
        centred, so that inner products stay what they were as far as they can.)
        """
        whole = replace(self, projection=None)
        vectors, present = whole.texts(texts)
        if not present.any() or vectors.shape[1] <= width:
            return whole
        sample = vectors[:: max(1, len(vectors) // SAMPLE)].astype(np.float64)
        # Eigenvectors of the products: as many as the encoder is wide, however many texts.
        _, found = np.linalg.eigh(sample.T @ sample)
        return replace(self, projection=np.ascontiguousarray(found[:, ::-1][:, :width]))

    def projected(self, vectors: Array) -> Array:
        """Vectors in the narrower space, float32; shorter than 1 by what they lost.

        What is unlike all texts stays far from them: it loses nearly all.
        """
        if self.projection is None:
            return vectors
        return np.asarray(vectors @ self.projection, np.float32)

    def save(self, folder: Path) -> None:
        """Write the projection; the encoder is not ours."""
        if self.projection is not None:
            np.save(folder / FILE, self.projection)

    def load(self, folder: Path) -> Meaning:
        """The same encoder with a saved projection."""
        if not (folder / FILE).exists():
            return self
        return replace(self, projection=np.load(folder / FILE))

    def query(self, text: str, name: str) -> Array | None:
        """Vector of a query, (width,).

        None where it fails, and where texts were encoded by another (`name`), or by none.
        """
        if self.encoder is None or self.name != name:
            return None
        try:
            # Not of several at once: the last digits of a product depend on who else asks.
            return self.projected(self.encoder.query(text))
        except RetrievalError as error:
            logger.warning("a query is not encoded: %s", error)
            return None


def _digest(projection: Array | None) -> str:
    if projection is None:
        return ""
    return f"-{hashlib.sha256(projection.tobytes()).hexdigest()[:8]}"


@lru_cache(maxsize=2)
def _opened(home: Path, name: str, quantised: bool) -> Encoder:
    try:
        return packaged(home, name, quantised=quantised)
    except RetrievalError:
        # A service need not have the package: what was written from it is enough.
        kind = "int8" if quantised else "float32"
        for written in sorted(home.glob(f"{Path(name).name}-*-{kind}"), reverse=True):
            if (written / CONFIGURATION).exists():
                return Encoder.load(written)
        raise
