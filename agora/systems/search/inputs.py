"""What the rankers see: one row per request and candidate, columns in the order of `INPUTS`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.systems.search.features import INPUTS, LEXICAL, LOGGED, OF_TEXT, SEMANTIC, SPENT
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
    """
    own = index.features[item] if features is None else features
    counts, rates = own[:, : len(LOGGED)], own[:, len(LOGGED) :]
    now = np.asarray(columns["event_at"])[request] / 1e6
    found = np.column_stack(
        [
            _of_text(request, item, asked, index, words, skipped),
            _of_price(columns, request, item, asked, index),
            _of_customer(request, item, asked, index),
            np.log1p(np.maximum(counts, 0.0)),
            rates,
            popularity_of(own, index.usual),
            (now - index.listed[item]) / DAY,
        ]
    )
    assert found.shape[1] == len(INPUTS), "as many columns as names"
    return found


def found_words(found: Candidates, requests: int) -> Words:
    """What retrieval says of its candidates.

    Args:
        found: The candidates of some requests.
        requests: How many these are.
    """
    nothing = np.full(len(found), np.nan)
    lexical, semantic = (found.scores.get(name, nothing) for name in (LEXICAL, SEMANTIC))
    best, nearest = np.zeros(requests), np.full(requests, -np.inf)
    np.fmax.at(best, found.request, lexical)
    np.fmax.at(nearest, found.request, semantic)
    return Words(lexical, best, np.where(np.isfinite(nearest), nearest, np.nan))


def _of_text(
    request: Array,
    item: Array,
    asked: Asked,
    index: Index,
    words: Words,
    skipped: Collection[str],
) -> Array:
    """Columns `OF_TEXT`, and for each candidate nothing of other requests."""
    found = np.full((len(item), len(OF_TEXT)), np.nan)
    lexical = np.nan_to_num(words.scores)
    for number, rows in _parts(request, len(asked.queries)):
        query, items = asked.queries[number], item[rows]
        if LEXICAL not in skipped:
            found[rows, 0] = lexical[rows]
            found[rows, 1] = lexical[rows] / max(float(words.best[number]), 1e-9)
        if SEMANTIC not in skipped and query.vector is not None and index.has_vectors:
            near = index.vectors.scores(query.vector, items)
            found[rows, 2] = near
            found[rows, 3] = near - words.nearest[number]
        titles, texts = query.groups
        found[rows, 5], found[rows, 7] = index.title_words.covered(items, titles)
        found[rows, 6], _ = index.text_words.covered(items, texts)
        found[rows, 8] = np.log(np.maximum(query.chances[index.categories[items]], 1e-6))
        found[rows, 9] = len(query.reading.words)
    # As far below the best in meaning as half of all cosines lie counts like no word found.
    found[:, 4] = np.nan_to_num(found[:, 1]) + np.nan_to_num(found[:, 3]) / NEAR
    return found


def _of_price(columns: Columns, request: Array, item: Array, asked: Asked, index: Index) -> Array:
    """Columns `OF_PRICE`."""
    price = index.price[item]
    ceiling = np.array([query.ceiling for query in asked.queries])[request]
    is_cheap = np.array([query.is_cheap for query in asked.queries], bool)[request]
    with np.errstate(invalid="ignore", divide="ignore"):
        logged = np.log(price)
        logged[~np.isfinite(logged)] = np.nan
        beside = logged - index.usual_price[item]
        # Above the limit counts, below it nothing is better than anything else.
        over = np.where(np.isfinite(ceiling), np.maximum(logged - np.log(ceiling), 0.0), np.nan)
        spent = logged - np.log(np.asarray(columns[SPENT])[request])
    over[~np.isfinite(over)] = np.nan
    spent[~np.isfinite(spent)] = np.nan
    return np.column_stack([logged, beside, over, np.where(is_cheap, beside, np.nan), spent])


def _of_customer(request: Array, item: Array, asked: Asked, index: Index) -> Array:
    """Columns `OF_CUSTOMER`: how the candidate stands to what the visitor did."""
    history, rows = asked.history, asked.rows
    known = rows >= 0
    place = np.where(known, rows, 0)
    weight = history.weights * known
    total = np.maximum(weight.sum(axis=1), 1e-12)[request]
    mine = weight[request]
    if len(index):
        category = np.where(known, index.categories[place], -1)[request]
        seller = np.where(known, index.sellers[place], -1)[request]
    else:
        category = seller = rows[request]
    met = known[request] & (rows[request] == item[:, None])
    ages = np.where(met, history.ages[request], np.inf).min(axis=1, initial=np.inf)
    return np.column_stack(
        [
            _taste(request, item, asked, index, weight),
            (mine * (category == index.categories[item][:, None])).sum(axis=1) / total,
            (mine * (seller == index.sellers[item][:, None])).sum(axis=1) / total,
            met.sum(axis=1),
            np.where(np.isfinite(ages), ages / DAY, np.nan),
            known.sum(axis=1)[request],
        ]
    )


def _taste(request: Array, item: Array, asked: Asked, index: Index, weight: Array) -> Array:
    """Mean likeness of each candidate's text to what the visitor looked at, (m,)."""
    found = np.full(len(item), np.nan)
    if not index.has_vectors:
        return found
    for number, rows in _parts(request, len(asked.queries)):
        steps = np.flatnonzero(weight[number] > 0)
        if len(steps):
            vectors = index.vectors.of(asked.rows[number][steps])
            liked = weight[number][steps] @ np.nan_to_num(vectors) / weight[number][steps].sum()
            found[rows] = index.vectors.scores(liked, item[rows])
    return found


def _parts(request: Array, count: int) -> list[tuple[int, slice]]:
    """The rows of each request that has some."""
    edges = np.searchsorted(request, np.arange(count + 1)).tolist()
    return [
        (number, slice(edges[number], edges[number + 1]))
        for number in range(count)
        if edges[number] < edges[number + 1]
    ]
