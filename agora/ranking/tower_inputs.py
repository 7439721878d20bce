"""What the towers see: items by content, customers by their latest interactions."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[Any, Any]

WORDS = re.compile(r"\w+")
GRAM = 3
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Items:
    """Items with their content; row for row.

    Attributes:
        keys: Number that names an item for ever, (n,) int64.
        text: Vector of the text, of a sentence encoder or `hashed_text`, (n, t).
        category: Name of the category, (n,) of text.
        price: In one currency, NaN where unknown, (n,).
    """

    keys: Array
    text: Array
    category: Array
    price: Array

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class Customers:
    """Customers (or sessions) as of a moment; row for row.

    Attributes:
        items: Row in `Items` of the latest interactions, newest first, -1 where there are no
            more, (n, L).
        kinds: Kind of each interaction, a code from 0, (n, L).
        ages: Seconds since each, (n, L).
        context: Numbers of the request, standardised by the caller, (n, c).
    """

    items: Array
    kinds: Array
    ages: Array
    context: Array

    def __len__(self) -> int:
        return len(self.items)

    def take(self, rows: Array) -> Customers:
        """The chosen rows."""
        return Customers(self.items[rows], self.kinds[rows], self.ages[rows], self.context[rows])


def age_input(ages: Array) -> Array:
    """Seconds on a scale on which a minute, an hour and a month are alike far apart."""
    return np.asarray(np.log1p(np.maximum(ages, 0.0) / 60.0) / 5.0)


def price_input(price: Array, mean: float, spread: float) -> Array:
    """Standardised logarithm, and whether it is unknown, (n, 2)."""
    missing = ~(price > 0)
    value = (np.log(np.where(missing, 1.0, price)) - mean) / spread
    return np.column_stack([np.where(missing, 0.0, value), missing])


def hashed_text(texts: Sequence[str], width: int = 256) -> Array:
    """Words and their letter triples, hashed into so many signed numbers, (n, width) float32.

    Feature hashing (Weinberger et al., 2009): no vocabulary to keep, new words have a place. Each
    distinct word is hashed once; rows have length 1, an empty text is nought.
    """
    words = [WORDS.findall(text.lower()) for text in texts]
    rows = np.repeat(np.arange(len(texts)), [len(found) for found in words])
    vocabulary, codes = np.unique(
        np.array(list(chain.from_iterable(words)), dtype=object).astype(str), return_inverse=True
    )
    grams = [_grams(word) for word in vocabulary.tolist()]
    sizes = np.array([len(found) for found in grams], dtype=np.int64)
    flat = np.array(list(chain.from_iterable(grams)), dtype=np.int64)
    starts = np.cumsum(sizes) - sizes
    # Each occurrence of a word brings all of its pieces.
    repeated = sizes[codes]
    offset = np.arange(repeated.sum()) - np.repeat(np.cumsum(repeated) - repeated, repeated)
    pieces = flat[np.repeat(starts[codes], repeated) + offset]
    owner = np.repeat(rows, repeated)
    found = np.bincount(
        owner * width + (pieces >> 1) % width,
        weights=np.where(pieces & 1, 1.0, -1.0),
        minlength=len(texts) * width,
    ).reshape(len(texts), width)
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.maximum(length, 1e-12), dtype=np.float32)


def _grams(word: str) -> list[int]:
    """A word's hash and those of its letter triples, bounds included."""
    bounded = f"<{word}>"
    pieces = {word, *(bounded[i : i + GRAM] for i in range(len(bounded) - GRAM + 1))}
    return [zlib.crc32(piece.encode()) for piece in sorted(pieces)]
