"""What may be tuned, each value with its reason."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from agora.ranking.diversity import Rules
from agora.ranking.exploration import Policy
from agora.ranking.lambdarank import RankParams
from agora.ranking.towers import TowerParams


def _towers() -> TowerParams:
    # Three passes over some ten thousand interactions: a few seconds on one core.
    return TowerParams(epochs=6, batch=512, drawn=256, patience=2)


def _ranker() -> RankParams:
    # A list earns one click in three visits: few leaves of many rows, or noise is learned by heart
    # (measured: fifteen leaves of thirty lose all of the lead over what is most popular).
    return RankParams(
        rounds=200, leaves=6, learning_rate=0.05, rows_in_leaf=200, l2=20.0,
        rising=("towers", "collaborative", "popular", "product_click_rate_30d", "category_share"),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Params:
    """How the pipeline is trained and how lists are made."""

    towers: TowerParams = field(default_factory=_towers)
    ranker: RankParams = field(default_factory=_ranker)
    rules: Rules = field(default_factory=lambda: Rules(similarity=0.1, per_seller=3, fresh=1))
    # A place in ten is shared with the pool: enough to judge other orders by, a small price.
    exploration: Policy = field(default_factory=lambda: Policy(epsilon=0.1))
    text: int = 128  # Numbers of a text's vector; fewer make words collide, more cost memory.
    rank: int = 64  # Of collaborative vectors: what an index of a million holds in 256 MB.
    ridge: float = 50.0  # Of EASE; histories are a tenth as long as MovieLens', where 400 is best.
    found: dict[str, int] = field(
        # Together about a thousand; what the towers find is best, so they bring the most.
        default_factory=lambda: {
            "towers": 400,
            "collaborative": 250,
            "content": 150,
            "popular": 150,
            "new": 50,
        }
    )
    kept_open: int = 200  # Candidates that the trees see: a few milliseconds.
    new_days: float = 14.0  # As long as it takes a product to gather its first thirty clicks.
    # Times that a new product is shown before it must earn its places: at the last places of lists
    # some six looks. A shop of 6,000 lists 25 a day; 400 visits have 700 places for them.
    first_looks: int = 20
    pool: int = 10  # Candidates that share the exploring places, half of them new products.
    # Weight of what was taken, its place's look to this power below nought. The whole inverse (1)
    # is right on average and costs more by its variance than the bias that it removes.
    look_power: float = 0.25

    def __post_init__(self) -> None:
        missing = {"towers", "collaborative", "content", "popular", "new"} ^ set(self.found)
        if missing:
            raise ValueError(f"found: {', '.join(sorted(missing))} unknown or not there")

    def saved(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def of(cls, saved: dict[str, Any]) -> Self:
        """What `saved` gave, also after JSON."""
        ranker = {**saved["ranker"]}
        for name in ("rising", "falling", "seeds"):
            ranker[name] = tuple(ranker[name])
        made = {
            "towers": TowerParams(**saved["towers"]),
            "ranker": RankParams(**ranker),
            "rules": Rules(**saved["rules"]),
            "exploration": Policy(**saved["exploration"]),
        }
        return cls(**{**saved, **made})
