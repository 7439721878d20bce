"""Vectors of texts, by the packaged encoder; none where it is not there.

The encoder is no part of a saved pipeline: it is written once per instance from its package, and
vectors of texts are kept beside it, so that a new index encodes new texts only.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
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


@dataclass(frozen=True, slots=True)
class Meaning:
    """An encoder that may not be there.

    Attributes:
        encoder: None where it could not be opened.
        kept: Folder of the vectors of former texts.
    """

    encoder: Encoder | None
    kept: Path | None = None

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
            return EncodedTexts(self.encoder, self.kept).vectors(texts), np.ones(len(texts), bool)
        except (RetrievalError, OSError) as error:
            logger.warning("texts are not encoded: %s", error)
            return nothing

    @property
    def name(self) -> str:
        """What makes the vectors; empty without an encoder."""
        return self.encoder.fingerprint if self.encoder else ""

    def query(self, text: str, name: str) -> Array | None:
        """Vector of a query, (width,).

        None where it fails, and where texts were encoded by another (`name`), or by none.
        """
        if self.encoder is None or self.name != name:
            return None
        try:
            return self.encoder.query(text)
        except RetrievalError as error:
            logger.warning("a query is not encoded: %s", error)
            return None


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
