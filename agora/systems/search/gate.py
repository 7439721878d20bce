"""What a new index must be before it may serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from agora.pipeline import ItemPipeline
    from agora.systems.search.index import Index

# Fewer of the exact neighbours than this and meaning finds too little without anybody seeing why.
LEAST_RECALL = 0.95
# Of sampled products so many must be found by their own title.
FOUND_BY_TITLE, SAMPLE, DEPTH = 0.9, 50, 50


def index_gate(old: ItemPipeline | None, new: ItemPipeline) -> tuple[str, ...]:
    """Reasons against a new index: nothing to sell, products that their own words do not find.

    One without vectors, where the one that serves has them, is refused: to search by words alone is
    what is done when nothing else can be.
    """
    index: Index = new.index_  # type: ignore[attr-defined]
    found = found_by_title(index)
    had = old is not None and old.index_.has_vectors and len(old.index_)  # type: ignore[attr-defined]
    said = {
        "no product is for sale": not index.for_sale.any(),
        f"the vectors find {index.vectors.recall:.3f} of the exact neighbours": (
            index.vectors.recall < LEAST_RECALL
        ),
        "its texts were not encoded": bool(had) and not index.has_vectors,
        "popularity is not finite": not np.isfinite(index.popularity).all(),
        f"{found:.0%} of sampled products are found by their title": found < FOUND_BY_TITLE,
    }
    return tuple(words for words, holds in said.items() if holds)


def found_by_title(index: Index) -> float:
    """Share of sampled titles whose product, or another of that title, is found by it."""
    named = np.flatnonzero(index.titles.str.strip_chars().str.len_chars().to_numpy() > 0)
    if not len(named):
        return 1.0
    rows = named[np.unique(np.linspace(0, len(named) - 1, min(SAMPLE, len(named))).astype(int))]
    return float(np.mean([_is_found(index, row) for row in rows.tolist()]))


def _is_found(index: Index, row: int) -> bool:
    title: Any = index.titles[row]
    hits = index.lexical.search(title, DEPTH)
    return bool(title in set(index.titles.gather(hits.rows).to_list()))
