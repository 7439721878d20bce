"""Search as it used to be: all words of the query must stand in the title, letter by letter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from agora.simulator import vocabulary as words
from agora.simulator.queries import BRAND_FROM, CATEGORY_FROM, NOTHING, STYLE_FROM, TEXTS, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.simulator.arrays import Ints
    from agora.simulator.world import World

_BY_TEXT: dict[str, int] = {}
SAME = np.array([_BY_TEXT.setdefault(text.lower(), token) for token, text in enumerate(TEXTS)])
"""First token that is written like each token: to this search, homonyms are one word."""
MOST_WORDS = 3
PRICE_WORDS = re.compile(r"^cheap | under \d+$")


def read(texts: Sequence[str]) -> Ints:
    """(n, 3) tokens of queries; `UNKNOWN` where something is no word of any title."""
    rows = []
    for text in texts:
        left = PRICE_WORDS.sub("", text.lower()).split()
        found: list[int] = []
        while left and len(found) < MOST_WORDS:
            sizes = range(min(MOST_WORDS, len(left)), 0, -1)
            size = next((size for size in sizes if " ".join(left[:size]) in _BY_TEXT), 0)
            found.append(_BY_TEXT[" ".join(left[:size])] if size else UNKNOWN)
            left = left[max(size, 1) :]
        rows.append((found or [UNKNOWN]) + [NOTHING] * (MOST_WORDS - max(len(found), 1)))
    return np.array(rows, dtype=np.int64).reshape(-1, MOST_WORDS)


class TitleIndex:
    """Products by the forms of words in their titles, and by their category's words."""

    def __init__(self, world: World) -> None:
        goods = world.goods
        columns = [
            goods.noun_form,
            STYLE_FROM + goods.style_form,
            BRAND_FROM + goods.brand,
            CATEGORY_FROM + words.CATEGORY_WORDS.first[goods.category],
        ]
        self._tokens = SAME[np.stack(columns, axis=1)]
        flat = self._tokens.ravel()
        order = np.argsort(flat, kind="stable")
        self._products = order // len(columns)
        self._first = np.searchsorted(flat[order], np.arange(len(TEXTS) + 1))

    def find(self, tokens: Ints) -> tuple[Ints, Ints]:
        """Pairs of row and product, such that the product has all tokens of the row."""
        tokens = np.where(tokens >= 0, SAME[np.maximum(tokens, 0)], tokens)
        sizes = np.diff(self._first)
        wanted = np.where(tokens >= 0, sizes[np.maximum(tokens, 0)], np.iinfo(np.int64).max)
        wanted = np.where(tokens == UNKNOWN, 0, wanted)
        # The rarest word finds the candidates, the others check them.
        rarest = np.argmin(wanted, axis=1)
        count = np.min(wanted, axis=1, initial=np.iinfo(np.int64).max)
        first = self._first[np.maximum(tokens[np.arange(len(tokens)), rarest], 0)]
        row = np.repeat(np.arange(len(tokens)), count)
        offset = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        product = self._products[first[row] + offset]
        asked = tokens[row]
        has = (self._tokens[product][:, None, :] == asked[:, :, None]).any(2) | (asked < 0)
        keep = has.all(1)
        return row[keep], product[keep]
