"""How good ranked lists are: against judgements, and by themselves.

Judgements are brought into one shape first (`judge` for scored rows, `judge_lists` for lists), then
each metric gives one value per group, NaN for a group in which nothing is relevant, so that means
and bootstrap draws are taken over groups by who asks. With binary gains and lists of k items the
means are those of Microsoft Recommenders (Argyriou et al., 2020); over whole lists those of
trec_eval (ndcg_cut, map, recall, P, recip_rank), which orders ties by document, descending: give it
rows in that order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Judged:
    """Lists of groups (requests, customers, queries) with what each position was worth.

    Attributes:
        gains: Gain at each position, (groups, depth); 0 where nothing stands.
        ideal: The largest gains that there are, descending, (groups, depth).
        relevant: Number of items with a gain above 0, shown or not, (groups,).
    """

    gains: Array
    ideal: Array
    relevant: Array

    @property
    def any_relevant(self) -> Array:
        """Groups that have a value, (groups,)."""
        return np.asarray(self.relevant > 0)


def judge(groups: Array, scores: Array, gains: Array, depth: int) -> Judged:
    """Rows with scores, ordered within their groups; ties stay in the rows' order.

    Args:
        groups: Group of each row, codes from 0, (n,).
        scores: Larger stands higher, (n,).
        gains: What showing the row is worth, not negative; 0 for irrelevant, (n,).
        depth: Positions that are looked at.
    """
    count = int(groups.max()) + 1 if len(groups) else 0
    return Judged(
        _by_position(groups, -scores, gains, count, depth),
        _by_position(groups, -gains, gains, count, depth),
        np.bincount(groups[gains > 0], minlength=count),
    )


def judge_lists(lists: Array, groups: Array, items: Array, gains: Array | None = None) -> Judged:
    """Lists of items against judgements.

    Args:
        lists: Items of each group, best first, -1 where a list has ended, (groups, depth).
        groups: Group of each judgement, codes from 0, (n,).
        items: Judged item, codes from 0; no pair of group and item twice, (n,).
        gains: Gain of the judged item, 1 by default, (n,).
    """
    worth = np.ones(len(items)) if gains is None else np.asarray(gains, float)
    count, depth = lists.shape
    base = int(max(items.max(initial=0), lists.max(initial=0))) + 1
    keys = groups.astype(np.int64) * base + items
    order = np.argsort(keys)
    keys, sorted_worth = keys[order], worth[order]
    asked = np.arange(count)[:, None] * base + lists
    place = np.searchsorted(keys, asked).clip(max=max(len(keys) - 1, 0))
    found = (keys[place] == asked) & (lists >= 0) if len(keys) else np.zeros(lists.shape, bool)
    return Judged(
        np.where(found, sorted_worth[place] if len(keys) else 0.0, 0.0),
        _by_position(groups, -worth, worth, count, depth),
        np.bincount(groups[worth > 0], minlength=count),
    )


def as_if(judged: Judged, relevant: Array) -> Judged:
    """The same lists as if so many items of gain 1 were relevant to each group, (groups,).

    Where judgements are a sample of what is wanted, a group with few of them would weigh as much as
    one with many; measured against what is wanted in all, ndcg and recall are linear in what is
    found, and a sample's mean is that of all but for a factor.
    """
    depth = judged.gains.shape[1]
    ideal = (np.arange(depth) < relevant[:, None]).astype(float)
    return Judged(judged.gains, ideal, np.asarray(relevant))


def ndcg(judged: Judged, k: int) -> Array:
    """Discounted gain over the best possible, (groups,); gain / log2(position + 1).

    Järvelin and Kekäläinen, 2002, with the discount of Burges et al., 2005; pass 2^grade - 1 as
    gains for the exponential form.
    """
    discount = 1 / np.log2(np.arange(2, 2 + min(k, judged.gains.shape[1])))
    found = judged.gains[:, :k] @ discount
    return _share(found, judged.ideal[:, :k] @ discount, judged)


def precision(judged: Judged, k: int) -> Array:
    """Share of the first k positions that is relevant, (groups,); a short list is not excused."""
    found = (judged.gains[:, :k] > 0).sum(axis=1)
    return _share(found, np.full(len(found), float(k)), judged)


def recall(judged: Judged, k: int) -> Array:
    """Share of what is relevant that the first k positions hold, (groups,)."""
    return _share((judged.gains[:, :k] > 0).sum(axis=1), judged.relevant, judged)


def average_precision(judged: Judged, k: int) -> Array:
    """Mean precision at the relevant positions, those not shown counting 0, (groups,).

    Divided by all that is relevant: trec_eval's map, and the `map` of Microsoft Recommenders (their
    `map_at_k` divides by at most k).
    """
    hits = judged.gains[:, :k] > 0
    reached = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return _share((reached * hits).sum(axis=1), judged.relevant, judged)


def reciprocal_rank(judged: Judged, k: int) -> Array:
    """One over the position of the first relevant item, 0 if it is not among k, (groups,)."""
    hits = judged.gains[:, :k] > 0
    found = np.where(hits.any(axis=1), 1 / (1 + hits.argmax(axis=1)), 0.0)
    return _share(found, np.ones(len(found)), judged)


def coverage(lists: Array, items: int) -> float:
    """Share of a catalogue of so many items that is in any list (-1 is no item)."""
    return len(np.unique(lists[lists >= 0])) / items


def diversity(lists: Array, vectors: Array) -> Array:
    """Mean cosine distance of the pairs in each list, (groups,); NaN below two items.

    Intra-list diversity of Ziegler et al., 2005, in one pass: the pairs' sum is the squared length
    of the sum of unit vectors.

    Args:
        lists: Items, -1 where a list has ended, (groups, k).
        vectors: One row per item, of any length, (items, d).
    """
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    there = lists >= 0
    count = there.sum(axis=1).astype(float)
    total = (units[np.where(there, lists, 0)] * there[:, :, None]).sum(axis=1)
    pairs = count * (count - 1)
    similar = np.full(len(lists), np.nan)
    np.divide((total**2).sum(axis=1) - count, pairs, out=similar, where=pairs > 0)
    return np.asarray(1 - similar)


def novelty(lists: Array, popularity: Array, users: int) -> Array:
    """Mean surprise of each list's items in bits, -log2 of their share of users, (groups,).

    Zhou et al., 2010. An item that no one took counts as if half a user had.

    Args:
        lists: Items, -1 where a list has ended, (groups, k).
        popularity: Users who took each item, (items,).
        users: Users there are.
    """
    bits = -np.log2(np.maximum(popularity, 0.5) / users)
    there = lists >= 0
    total = (bits[np.where(there, lists, 0)] * there).sum(axis=1)
    found = np.full(len(lists), np.nan)
    return np.asarray(np.divide(total, there.sum(axis=1), out=found, where=there.any(axis=1)))


def _by_position(groups: Array, keys: Array, gains: Array, count: int, depth: int) -> Array:
    """Gains of each group's rows in ascending order of the keys, (count, depth)."""
    found = np.zeros((count, depth))
    order = np.lexsort((keys, groups))
    ordered = groups[order]
    starts = np.searchsorted(ordered, np.arange(count))
    position = np.arange(len(ordered)) - starts[ordered]
    shown = position < depth
    found[ordered[shown], position[shown]] = gains[order][shown]
    return found


def _share(part: Array, whole: Array, judged: Judged) -> Array:
    share = np.full(len(part), np.nan)
    return np.asarray(np.divide(part, whole, out=share, where=judged.any_relevant))
