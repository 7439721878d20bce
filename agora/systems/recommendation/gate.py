"""What a new index must be before it may serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agora.systems.recommendation.features import TOWERS

if TYPE_CHECKING:
    from agora.pipeline import ItemPipeline

# Fewer of the exact neighbours than this and lists get worse without anybody seeing why.
LEAST_RECALL = 0.95


def index_gate(old: ItemPipeline | None, new: ItemPipeline) -> tuple[str, ...]:
    """Reasons against a new index: nothing to sell, vectors that find too little, torn figures."""
    index = new.index_  # type: ignore[attr-defined]
    recall = index.vectors[TOWERS].recall
    said = {
        "no product is for sale": not index.for_sale.any(),
        f"the vectors find {recall:.3f} of the exact neighbours": recall < LEAST_RECALL,
        "popularity is not finite": not np.isfinite(index.popularity).all(),
    }
    return tuple(words for words, holds in said.items() if holds)
