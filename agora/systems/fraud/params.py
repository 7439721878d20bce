"""How fraud is trained; each value with its reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from agora.systems.fraud.costs import Costs
from agora.systems.fraud.network import NetworkParams

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Params:
    """How fraud is trained."""

    learning_rate: float = 0.05  # 0.03 with as many trees: equal within the noise.
    leaves: int = 8  # Frauds are hundreds; 16 leaves were no better on earlier weeks.
    rows_per_leaf: int = 50  # 20 were a little worse: leaves of single customers.
    input_share: float = 0.25  # Inputs are strongly correlated: half of them a tree was .02 worse.
    row_share: float = 0.8  # The usual share; keeps single payments from mattering.
    ridge: float = 10.0  # Leaves of few frauds are pulled towards zero.
    fraud_weight: float = 0.1  # Power of honest over frauds: 0.5 was .02 worse, 0 as good.
    most_rounds: int = 600  # Never reached at this learning rate; bounds the time.
    fewest_rounds: int = 100  # Early stopping on few frauds can stop at the first lucky tree.
    usual_rounds: int = 200  # Where the later slice has too few frauds to choose.
    patience: int = 40  # Trees without improvement before stopping.
    later_share: float = 0.2  # Latest share of the training span, for early stopping.
    frauds_to_choose: int = 100  # Fewer frauds than this in the later slice choose at random.
    seeds: tuple[int, ...] = (0,)  # Averaging three or five gained less than .001 each time.
    rarest_code: int = 20  # A country seen less often says nothing yet.
    most_missed: float = 0.10  # Of the frauds, through the safe list; it takes half of the traffic.
    least_precision: float = 0.80  # Of what a rule declines: below, models rank it better (.028).
    tuning_trials: int = 0  # Bayesian search on the training span; off where minutes matter.
    deep_share: float = 0.10  # Of all payments: nearly all frauds are among them.
    fewest_frauds: int = 30  # From fewer a network learns them by heart: the cascade has two tiers.
    network: NetworkParams = field(default_factory=NetworkParams)
    costs: Costs = field(default_factory=Costs)

    @classmethod
    def quick(cls) -> Self:
        """A small model in about a second, for tests and for benchmarks of everything around it."""
        network = NetworkParams(
            width=8, heads=2, hidden=8, epochs=2, fewest_honest=1_000, most_honest=2_000
        )
        return cls(most_rounds=40, usual_rounds=30, fewest_rounds=10, network=network)

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """From a manifest's JSON."""
        return cls(**{**fields, "costs": Costs(**fields["costs"]), "seeds": tuple(fields["seeds"])})

    @property
    def lightgbm(self) -> dict[str, Any]:
        """The trees' part in LightGBM's words."""
        return {
            "objective": "binary",
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_child_samples": self.rows_per_leaf,
            "feature_fraction": self.input_share,
            "bagging_fraction": self.row_share,
            "bagging_freq": 1,
            "lambda_l2": self.ridge,
        }
