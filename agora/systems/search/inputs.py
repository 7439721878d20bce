"""What the rankers see: one row per request and candidate, columns in the order of `INPUTS`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.shopping.catalogue import logged
from agora.systems.search.features import (
    INPUTS,
    LEXICAL,
    LOGGED,
    OF_CUSTOMER,
    OF_PRICE,
    OF_TEXT,
    SEMANTIC,
    SPENT,
)
from agora.systems.search.history import history_of
from agora.systems.search.index import popularity_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from agora.candidates import Candidates
    from agora.pipeline import Columns
    from agora.systems.search.history import History
    from agora.systems.search.index import Index
    from agora.systems.search.understanding import Understanding, Understood

Array = np.ndarray[Any, Any]

DAY = 86_400.0
NEAR = 0.3
TEXT = slice(0, len(OF_TEXT))
PRICE = slice(TEXT.stop, TEXT.stop + len(OF_PRICE))
CUSTOMER = slice(PRICE.stop, PRICE.stop + len(OF_CUSTOMER))
ITEM = slice(CUSTOMER.stop, len(INPUTS))
"""Columns of each part."""
OF_OWN_PRICE = 2
"""The first columns of `PRICE`, and of what the index tells."""
# Neither words nor meaning were looked for.
NO_TEXT = (np.nan, np.nan, np.nan, np.nan, 0.0)
# Nothing is known of tastes, nothing was met.
NOBODY = (np.nan, 0.0, 0.0, 0.0, np.nan, 0.0)
Part = tuple[int, slice]
"""A request's number, and its candidates' rows."""


@dataclass(frozen=True, slots=True)
class Words:
    """What the words of queries score for candidates, and the best that there is.

    Attributes:
        scores: BM25, NaN or 0 where they are not found, (m,).
        best: The largest of each request among all that could be found, (requests,).
        nearest: Likewise of likeness in meaning; NaN where that is not known.
    """

    scores: Array
    best: Array
    nearest: Array


@dataclass(frozen=True, slots=True)
class Asked:
    """Requests, read.

    Attributes:
        queries: What each looks for.
        history: What each visitor did.
        rows: Row of each step in the index, -1 where it is not there, (n, L).
    """

    queries: Sequence[Understood]
    history: History
    rows: Array

    @classmethod
    def of(cls, columns: Columns, index: Index, understanding: Understanding) -> Asked:
        """Read requests."""
        history = history_of(columns)
        queries = [understanding.of(query) for query in columns["query"]]
        return cls(queries, history, index.rows_of(history.keys))


def inputs_of(
    columns: Columns,
    request: Array,
    item: Array,
    asked: Asked,
    index: Index,
    words: Words,
    *,
    features: Array | None = None,
    skipped: Collection[str] = (),
    out: Array | None = None,
) -> Array:
    """Inputs of candidates, (m, len(INPUTS)) float64.

    Args:
        columns: The requests.
        request: Row of each candidate's request, ascending, (m,).
        item: Its row in the index, (m,).
        asked: The requests, read.
        index: The products.
        words: What the words of the queries score.
        features: Columns `OF_ITEM` of each candidate where another time is meant than the index's,
            (m, len(OF_ITEM)).
        skipped: Strategies that did not answer: what they would say is not known.
        out: Where they are written.
    """
    # One block, and every part writes its own columns: nothing is put together afterwards.
    found = np.empty((len(item), len(INPUTS))) if out is None else out
    told = np.take(index.told, item, axis=0)
    own = told[:, OF_OWN_PRICE:]
    if features is not None:
        own[:, :-2] = logged(features, len(LOGGED))
        own[:, -2] = popularity_of(features, index.usual)
    now = np.asarray(columns["event_at"]) / 1e6
    listed = own[:, -1]
    np.divide((now if len(now) == 1 else now[request]) - listed, DAY, out=listed)
    found[:, ITEM] = own
    parts = _parts(request, len(asked.queries))
    _of_text(found[:, TEXT], parts, item, asked, index, words, skipped)
    _of_price(found[:, PRICE], columns, parts, told, asked)
    _of_customer(found[:, CUSTOMER], parts, item, asked, index)
    return found


def found_words(found: Candidates, requests: int) -> Words:
    """What retrieval says of its candidates.

    Args:
        found: The candidates of some requests.
        requests: How many these are.
    """
    nothing = np.full(len(found), np.nan)
    lexical, semantic = (found.scores.get(name, nothing) for name in (LEXICAL, SEMANTIC))
    best, nearest = np.zeros(requests), np.full(requests, np.nan)
    for number, rows in _parts(found.request, requests):
        best[number] = np.fmax.reduce(lexical[rows], initial=0.0)
        nearest[number] = np.fmax.reduce(semantic[rows])
    return Words(lexical, best, nearest)


def _of_text(
    found: Array,
    parts: Sequence[Part],
    item: Array,
    asked: Asked,
    index: Index,
    words: Words,
    skipped: Collection[str],
) -> None:
    """Columns `OF_TEXT`, and for each candidate nothing of other requests."""
    for number, rows in parts:
        query, items, own = asked.queries[number], item[rows], found[rows]
        own[:, :5] = NO_TEXT
        if LEXICAL not in skipped:
            # What is not found by words has none of them.
            lexical = np.fmax(words.scores[rows], 0.0)
            own[:, 0] = lexical
            own[:, 1] = own[:, 4] = lexical / max(float(words.best[number]), 1e-9)
        if SEMANTIC not in skipped and query.vector is not None and index.has_vectors:
            near = index.vectors.scores(query.vector, items)
            gap = near - words.nearest[number]
            own[:, 2], own[:, 3] = near, gap
            # As far below the best in meaning as half of all cosines lie counts like no word found.
            own[:, 4] += np.where(np.isnan(gap), 0.0, gap) / NEAR
        titles, texts = query.groups
        own[:, 5], own[:, 7] = index.title_words.covered(items, titles)
        own[:, 6], _ = index.text_words.covered(items, texts)
        own[:, 8] = query.log_chances[index.categories[items]]
        own[:, 9] = len(query.reading.words)


def _of_price(
    found: Array, columns: Columns, parts: Sequence[Part], told: Array, asked: Asked
) -> None:
    """Columns `OF_PRICE`."""
    found[:, :OF_OWN_PRICE], found[:, OF_OWN_PRICE:] = told[:, :OF_OWN_PRICE], np.nan
    usual = np.asarray(columns[SPENT])
    for number, rows in parts:
        query, own, spent = asked.queries[number], found[rows], float(usual[number])
        if math.isfinite(query.ceiling) and query.ceiling > 0:
            # Above the limit counts, below it nothing is better than anything else.
            own[:, 2] = np.maximum(own[:, 0] - math.log(query.ceiling), 0.0)
        if query.is_cheap:
            own[:, 3] = own[:, 1]
        if spent > 0:
            own[:, 4] = own[:, 0] - math.log(spent)


def _of_customer(
    found: Array, parts: Sequence[Part], item: Array, asked: Asked, index: Index
) -> None:
    """Columns `OF_CUSTOMER`: how the candidate stands to what the visitor did."""
    found[:] = NOBODY
    if not len(index):
        return
    history = asked.history
    known = asked.rows >= 0
    for number, rows in parts:
        steps = np.flatnonzero(known[number])
        if not len(steps):
            continue
        items, own, places = item[rows], found[rows], asked.rows[number, steps]
        weight = history.weights[number, steps]
        share = weight / max(float(weight.sum()), 1e-12)
        if index.has_vectors and weight.any():
            own[:, 0] = _taste(items, places, weight, index)
        own[:, 1] = (index.categories[items][:, None] == index.categories[places]) @ share
        own[:, 2] = (index.sellers[items][:, None] == index.sellers[places]) @ share
        met = items[:, None] == places
        own[:, 3] = met.sum(axis=1)
        ages = np.where(met, history.ages[number, steps], np.inf).min(axis=1)
        own[:, 4] = np.where(np.isfinite(ages), ages / DAY, np.nan)
        own[:, 5] = len(steps)


def _taste(items: Array, places: Array, weight: Array, index: Index) -> Array:
    """Mean likeness of each candidate's text to what the visitor looked at, (m,)."""
    some = weight > 0
    vectors = index.vectors.of(places[some])
    liked = weight[some] @ np.nan_to_num(vectors) / weight[some].sum()
    return index.vectors.scores(liked, items)


def _parts(request: Array, count: int) -> list[Part]:
    """The rows of each request that has some."""
    edges = np.searchsorted(request, np.arange(count + 1)).tolist()
    return [
        (number, slice(edges[number], edges[number + 1]))
        for number in range(count)
        if edges[number] < edges[number + 1]
    ]
