"""Fraud's pipeline: LightGBM on decoded payments, calibrated, with thresholds from costs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from agora.boosting import Boosters, Sample, best_rounds, train
from agora.calibration import Calibration, fit_calibration
from agora.cascade import Inferred, OneModel, Tier, infer
from agora.pipeline import Columns, Outputs, columns_of, seal, verify
from agora.systems.fraud.costs import DECISIONS, Costs, Thresholds, cheapest_thresholds
from agora.systems.fraud.decoding import READ, decode, learn_codes
from agora.systems.fraud.features import FEATURE_SETS, INPUTS
from agora.systems.fraud.reasons import explain

if TYPE_CHECKING:
    from pathlib import Path

    from agora.dataset import TrainingSet

Array = np.ndarray[Any, Any]

LABEL = "is_fraud"
LEARNED = "learned.json"
OUTPUTS: Outputs = {
    "decision": pl.String(),
    "score": pl.Float64(),
    "reasons": pl.List(
        pl.Struct({"code": pl.String(), "text": pl.String(), "contribution": pl.Float64()})
    ),
}
FEATURE_SET_IDS = tuple(feature_set.id for feature_set in FEATURE_SETS)


@dataclass(frozen=True, slots=True)
class Params:
    """How fraud is trained; each value with its reason."""

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
    costs: Costs = field(default_factory=Costs)

    @property
    def lightgbm(self) -> dict[str, Any]:
        """The same in LightGBM's words."""
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


class FraudPipeline:
    """From a payment and its features to approve, review or decline."""

    outputs: Outputs = OUTPUTS

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or Params()
        self.version = ""

    def fit(self, training_set: TrainingSet) -> Self:
        """Learn trees on the training span; calibration and thresholds on the calibration span."""
        columns, labels = self._columns(training_set.train)
        self.codes_ = learn_codes(columns, self.params.rarest_code)
        sample = self._sample(self.decode(columns), labels)
        self.rounds_ = self._rounds(sample, columns["event_at"])
        self.boosters_ = train(
            sample, INPUTS, self.params.lightgbm, self.rounds_, self.params.seeds
        )

        columns, labels = self._columns(training_set.calibration)
        raw = self.boosters_.raw(self.decode(columns))
        self.calibration_ = fit_calibration(raw, labels)
        self.thresholds_ = cheapest_thresholds(
            self.calibration_(raw), labels, columns["amount"], self.params.costs
        )
        return self

    def decode(self, columns: Columns) -> Array:
        """Turn request columns and feature columns into the model's input, (n, width)."""
        return decode(columns, self.codes_)

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """The trees alone."""
        return (OneModel(lambda matrix: self.calibration_(self.boosters_.raw(matrix)), "light"),)

    def infer(self, matrix: Array) -> Inferred:
        """Probability of fraud."""
        return infer(self.tiers, matrix)

    def decide(self, inferred: Inferred, matrix: Array, columns: Columns) -> dict[str, list[Any]]:
        """Decisions, scores, and reasons for what is not approved."""
        scores = inferred.scores
        levels = self.thresholds_.levels(scores)
        reasons: list[list[dict[str, Any]]] = [[] for _ in range(len(scores))]
        flagged = np.flatnonzero(levels)
        if len(flagged):
            for row, found in zip(flagged, explain(matrix[flagged], self.boosters_), strict=True):
                reasons[row] = found
        return {
            "decision": [DECISIONS[level] for level in levels],
            "score": scores.tolist(),
            "reasons": reasons,
        }

    def save(self, folder: Path) -> None:
        """Write the trees as text, what else was learned as JSON, and the manifest."""
        folder.mkdir(parents=True, exist_ok=True)
        self.boosters_.save(folder)
        learned = {
            "codes": self.codes_,
            "calibration": asdict(self.calibration_),
            "thresholds": asdict(self.thresholds_),
            "rounds": self.rounds_,
        }
        (folder / LEARNED).write_text(json.dumps(learned, indent=1))
        seal(
            folder,
            system="fraud",
            version=self.version,
            inputs=READ,
            outputs=self.outputs,
            feature_sets=FEATURE_SET_IDS,
            params=asdict(self.params),
            libraries=("lightgbm", "numpy", "polars"),
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, after checking every file."""
        manifest = verify(folder, system="fraud", feature_sets=FEATURE_SET_IDS)
        params = manifest.params
        pipeline = cls(
            Params(**{**params, "costs": Costs(**params["costs"]), "seeds": tuple(params["seeds"])})
        )
        learned = json.loads((folder / LEARNED).read_text())
        pipeline.version = manifest.version
        pipeline.codes_ = learned["codes"]
        pipeline.rounds_ = learned["rounds"]
        pipeline.calibration_ = Calibration(**learned["calibration"])
        pipeline.thresholds_ = Thresholds(**learned["thresholds"])
        pipeline.boosters_ = Boosters.load(folder)
        return pipeline

    def importance(self) -> dict[str, float]:
        """Share of the gain that each input brought, largest first."""
        return self.boosters_.importance()

    def _columns(self, frame: pl.DataFrame) -> tuple[dict[str, Array], Array]:
        columns = columns_of(frame.select(*READ, LABEL))
        return columns, columns.pop(LABEL)

    def _sample(self, matrix: Array, labels: Array) -> Sample:
        # Calibration takes the weights out of the probabilities again.
        frauds = labels.sum()
        weight = ((len(labels) - frauds) / max(frauds, 1.0)) ** self.params.fraud_weight
        return Sample(matrix, labels, np.where(labels > 0, weight, 1.0))

    def _rounds(self, sample: Sample, event_at: Array) -> int:
        params = self.params
        later = event_at >= np.quantile(event_at, 1 - params.later_share)
        if sample.labels[later].sum() < params.frauds_to_choose:
            return params.usual_rounds
        best = best_rounds(
            sample.take(~later), sample.take(later), INPUTS,
            params.lightgbm, params.most_rounds, params.patience,
        )  # fmt: skip
        return max(best, params.fewest_rounds)
