"""The list that is shown, from ordered candidates: diverse, fair to sellers, open to the new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a list must keep to.

    Attributes:
        similarity: What likeness to the nearest item already chosen costs, as a share of the
            spread of the scores: maximal marginal relevance (Carbonell and Goldstein, 1998); 0 is
            none.
        per_seller: Most items of one seller, or None.
        fresh: Places kept for fresh items, where there are any; they take the list's last places
            unless they have earned higher ones.
    """

    similarity: float = 0.3
    per_seller: int | None = 3
    fresh: int = 1


def rerank(
    scores: Array,
    k: int,
    rules: Rules,
    *,
    vectors: Array | None = None,
    sellers: Array | None = None,
    fresh: Array | None = None,
) -> Array:
    """Rows of the chosen candidates in the order in which they are shown, at most k.

    The seller rule always holds, even if the list then is shorter; the freshness quota holds as far
    as there are fresh items that the seller rule lets through.

    Args:
        scores: Larger is better; -inf is never shown, (n,).
        k: Length of the list.
        rules: What to keep to.
        vectors: Of unit length, for likeness, (n, d).
        sellers: Seller's code of each candidate, from 0, (n,).
        fresh: Whether it is new in the catalogue, (n,).
    """
    likeness = vectors if rules.similarity > 0 else None
    shown = scores > -np.inf
    spread = float(np.std(scores[shown])) if shown.any() else 0.0
    # The spread sets the scale: a score is a log-odds here, a product of vectors there.
    worth = np.where(shown, scores / spread if spread > 0 else 0.0, -np.inf)
    nearest = np.full(len(scores), 0.0)
    most = len(scores) if sellers is None or rules.per_seller is None else rules.per_seller
    left = None if sellers is None else np.full(int(sellers.max(initial=0)) + 1, most)
    quota = 0 if fresh is None else min(rules.fresh, k)
    chosen: list[int] = []
    for place in range(k):
        value = worth if likeness is None else worth - rules.similarity * nearest
        if fresh is not None and quota > 0 and k - place <= quota:
            only = np.where(fresh, value, -np.inf)
            value = only if only.max(initial=-np.inf) > -np.inf else value
        best = int(value.argmax()) if len(value) else 0
        if not len(value) or value[best] == -np.inf:
            break
        chosen.append(best)
        worth[best] = -np.inf
        if fresh is not None and fresh[best]:
            quota -= 1
        if sellers is not None and left is not None:
            left[sellers[best]] -= 1
            if left[sellers[best]] <= 0:
                worth[sellers == sellers[best]] = -np.inf
        if likeness is not None:
            np.maximum(nearest, likeness @ likeness[best], out=nearest)
    return np.array(chosen, np.int64)
