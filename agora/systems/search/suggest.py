"""`GET /suggest`: how a query that was begun may go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agora.serving.predictor import Predictor
    from agora.systems.search.schema import Prefix


def suggest(predictor: Predictor, params: Prefix) -> dict[str, Any]:
    """Words of the index that complete the last one, the frequent among such products first."""
    index = predictor.pipeline.index_  # type: ignore[attr-defined]
    before, _, last = params.prefix.strip().rpartition(" ")
    if not last or params.prefix.endswith(" "):
        return {"suggestions": []}
    found = index.lexical.completions(last, params.k, among=before)
    return {
        "suggestions": [
            {"query": f"{before} {word}".strip(), "products": count} for word, count in found
        ]
    }
