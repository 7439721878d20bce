"""Candidates: what retrieval found for each request, and the columns that carry it onwards.

A pipeline of items (`agora.pipeline.ItemPipeline`) retrieves before it decodes: `retrieve` finds a
thousand items by several strategies, `decode` makes one row of each, the tiers score these rows,
`decide` makes one list per request of them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from agora.pipeline import Columns

logger = logging.getLogger(__name__)
Array = np.ndarray[Any, Any]
KEPT = "kept"
POPULAR = "popular"
FALLBACKS = (KEPT, POPULAR)
"""Rungs below the pipeline's own answer, as `tier` of a prediction: the list that was made in
batch, then what the pipeline gives to everybody."""


class RetrievalError(RuntimeError):
    """No strategy answered."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Items found for the rows of some columns, at most once per request.

    Attributes:
        request: Row of the request, int64 (m,), ascending.
        item: Row of the item in the index, int64 (m,).
        scores: What each strategy gave it, float64 (m,); NaN where it did not find it.
        skipped: Strategies that were wanted and did not answer.
    """

    request: Array
    item: Array
    scores: Mapping[str, Array]
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        """How many there are."""
        return len(self.item)


class Found(NamedTuple):
    """What one strategy found: row of the request, row of the item, score; each (m,)."""

    request: Array
    item: Array
    score: Array


Strategy: TypeAlias = "Callable[[Columns], Found]"


class Retrieved(Mapping[str, Array]):
    """Request columns together with what was retrieved for them, so that it is done once.

    Attributes:
        asked: The request columns.
        candidates: What was found.
    """

    __slots__ = ("asked", "candidates")

    def __init__(self, asked: Columns, candidates: Candidates) -> None:
        self.asked = asked
        self.candidates = candidates

    def __getitem__(self, name: str) -> Array:
        """A request column."""
        return self.asked[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.asked)

    def __len__(self) -> int:
        return len(self.asked)


def retrieve_by(
    strategies: Mapping[str, Strategy], columns: Columns, without: Collection[str] = ()
) -> Candidates:
    """Ask all strategies and merge what they found; one that fails is skipped.

    Args:
        strategies: By name, which becomes a column of scores.
        columns: The requests.
        without: Strategies that are taken as failed.

    Raises:
        RetrievalError: None of them answered.
    """
    found: dict[str, Found] = {}
    for name, strategy in strategies.items():
        if name in without:
            continue
        try:
            found[name] = strategy(columns)
        except Exception as error:
            # The others still answer. Its type only: a message may repeat the request.
            logger.warning("strategy %s: %s", name, type(error).__name__)
    skipped = tuple(name for name in strategies if name not in found)
    if strategies and not found:
        raise RetrievalError(f"no strategy answered: {', '.join(skipped)}")
    return merged(found, skipped)


def merged(found: Mapping[str, Found], skipped: tuple[str, ...] = ()) -> Candidates:
    """One row per request and item, in their order, with the score of each strategy."""
    # A pair as one integer sorts several times faster than two columns.
    pairs = [
        each.request.astype(np.int64) << 32 | each.item.astype(np.int64) for each in found.values()
    ]
    every = np.concatenate(pairs) if pairs else np.empty(0, np.int64)
    unique, place = np.unique(every, return_inverse=True)
    scores, start = {}, 0
    for (name, each), pair in zip(found.items(), pairs, strict=True):
        column = np.full(len(unique), np.nan)
        column[place[start : start + len(pair)]] = each.score
        scores[name], start = column, start + len(pair)
    return Candidates(unique >> 32, unique & 0xFFFF_FFFF, scores, skipped)
