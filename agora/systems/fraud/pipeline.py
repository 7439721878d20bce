"""Fraud's pipeline: a cascade of rules, boosted trees and a network on the card's payments.

Each later tier sees what the one before left open. Scores of all tiers are calibrated on the
calibration span, and so are the thresholds, from costs.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from agora.adjustments import SHIFT
from agora.boosting import Boosters, Sample, best_rounds, train
from agora.calibration import Calibration, fit_calibration
from agora.cascade import Inferred, Tier, infer
from agora.pipeline import Columns, Outputs, PipelineError, columns_of, seal, verify
from agora.stacking import Stack
from agora.systems.fraud.costs import DECISIONS, Thresholds, cheapest_thresholds
from agora.systems.fraud.decoding import READ, decode, learn_codes
from agora.systems.fraud.features import FEATURE_SETS, INPUTS
from agora.systems.fraud.network import SequenceNetwork
from agora.systems.fraud.params import Params
from agora.systems.fraud.reasons import explain
from agora.systems.fraud.routing import (
    DEEP,
    ENSEMBLE,
    LIGHT,
    Acting,
    Deciding,
    band,
    contradicted,
    measure,
)
from agora.systems.fraud.rulebook import BOOK
from agora.systems.fraud.tiers import (
    PARTS,
    DeepTier,
    LightTier,
    RulesTier,
    evidence,
    probabilities,
)
from agora.systems.fraud.tuning import search
from agora.tuning import Budget

if TYPE_CHECKING:
    from pathlib import Path

    from agora.dataset import TrainingSet

__all__ = ["LABEL", "FraudPipeline", "Params"]

Array = np.ndarray[Any, Any]

LABEL = "is_fraud"
LEARNED = "learned.json"
OUTPUTS: Outputs = {
    "decision": pl.String(),
    "score": pl.Float64(),
    "tier": pl.String(),
    "rules": pl.List(pl.String()),
    "reasons": pl.List(
        pl.Struct({"code": pl.String(), "text": pl.String(), "contribution": pl.Float64()})
    ),
}
FEATURE_SET_IDS = tuple(feature_set.id for feature_set in FEATURE_SETS)


class FraudPipeline:
    """From a payment and its features to approve, review or decline."""

    outputs: Outputs = OUTPUTS

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or Params()
        self.version = ""

    def fit(self, training_set: TrainingSet) -> Self:
        """Learn models on the training span; all that joins them on the calibration span."""
        columns, labels = self._columns(training_set.train)
        self.codes_ = learn_codes(columns, self.params.rarest_code)
        matrix = self.decode(columns)
        if self.params.tuning_trials:
            self.params, _ = search(self.params, matrix, labels, Budget(self.params.tuning_trials))
        self._fit_light(matrix, labels, columns["event_at"])
        network = self._fit_network(matrix, labels)
        trained = BOOK.hits(matrix), labels

        columns, labels = self._columns(training_set.calibration)
        matrix = self.decode(columns)
        raw = self.boosters_.raw(matrix[:, : len(INPUTS)])
        self.calibration_ = fit_calibration(raw, labels)
        light = probabilities(self.calibration_.log_odds(raw))
        hits = BOOK.hits(matrix)
        self.rules_calibration_ = fit_calibration(evidence(BOOK, hits), labels)
        self._fit_rules(trained, (hits, labels), light)
        self.deep_ = network and DeepTier.fit(
            network, BOOK, self.rules_calibration_, matrix, light, labels
        )
        self._fit_routing(matrix, light, labels, columns["amount"])
        return self

    def decode(self, columns: Columns) -> Array:
        """Turn request columns and feature columns into the model's input, (n, width)."""
        return decode(columns, self.codes_)

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """Rules, trees, and the network where there were frauds enough to learn one."""
        return self.tiers_

    def infer(self, matrix: Array) -> Inferred:
        """Probability of fraud."""
        return infer(self.tiers_, matrix)

    def decide(self, inferred: Inferred, matrix: Array, columns: Columns) -> dict[str, list[Any]]:
        """Decisions, scores, and reasons for what is not approved."""
        scores = inferred.scores
        levels = self.thresholds_.levels(scores)
        return {
            "decision": [DECISIONS[level] for level in levels.tolist()],
            "score": scores.tolist(),
            "tier": [self.tiers_[tier].name for tier in inferred.tiers.tolist()],
            "rules": BOOK.marks(BOOK.hits(matrix)),
            "reasons": self._reasons(inferred, matrix, levels, columns.get(SHIFT)),
        }

    def parts(self, matrix: Array) -> dict[str, Array]:
        """Calibrated scores of all rows by the stack and by each of its parts alone."""
        light = self.calibration_.log_odds(self.boosters_.raw(matrix[:, : len(INPUTS)]))
        if not self.deep_:
            return {LIGHT: probabilities(light)}
        raw = self.deep_.network.raw(matrix)
        return {
            ENSEMBLE: probabilities(self.deep_.log_odds(light, raw, matrix)),
            LIGHT: probabilities(light),
            DEEP: probabilities(self.deep_.calibration.log_odds(raw)),
        }

    def save(self, folder: Path) -> None:
        """Write the trees as text, what else was learned as JSON, and the manifest."""
        folder.mkdir(parents=True, exist_ok=True)
        self.boosters_.save(folder)
        if self.deep_:
            self.deep_.network.save(folder)
        learned = {
            "codes": self.codes_,
            "calibration": asdict(self.calibration_),
            "rules_calibration": asdict(self.rules_calibration_),
            "acting": asdict(self.acting_),
            "deep_from": self.deep_from_,
            "deep_calibration": self.deep_ and asdict(self.deep_.calibration),
            "stack": self.deep_ and asdict(self.deep_.stack),
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
            libraries=("lightgbm", "numpy", "polars", *(("torch",) if self.deep_ else ())),
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, after checking every file."""
        manifest = verify(folder, system="fraud", feature_sets=FEATURE_SET_IDS)
        pipeline = cls(Params.of(manifest.params))
        learned = json.loads((folder / LEARNED).read_text())
        if learned["stack"] and len(learned["stack"]["weights"]) != PARTS:
            raise PipelineError(f"{folder}: stacked from other parts than today's; train again")
        pipeline.version = manifest.version
        pipeline.codes_ = learned["codes"]
        pipeline.rounds_ = learned["rounds"]
        pipeline.calibration_ = Calibration(**learned["calibration"])
        pipeline.rules_calibration_ = Calibration(**learned["rules_calibration"])
        pipeline.acting_ = Acting(**learned["acting"])
        pipeline.thresholds_ = Thresholds(**learned["thresholds"])
        pipeline.boosters_ = Boosters.load(folder)
        pipeline.deep_from_ = learned["deep_from"]
        pipeline.deep_ = learned["stack"] and DeepTier(
            SequenceNetwork.load(folder),
            Calibration(**learned["deep_calibration"]),
            BOOK,
            pipeline.rules_calibration_,
            Stack(tuple(learned["stack"]["weights"]), learned["stack"]["shift"]),
        )
        pipeline._assemble()
        return pipeline

    def importance(self) -> dict[str, float]:
        """Share of the gain that each input brought to the trees, largest first."""
        return self.boosters_.importance()

    def _assemble(self) -> None:
        """The tiers of what was learned."""
        deep_from = self.deep_from_ if self.deep_ else float("inf")
        self.tiers_ = (
            RulesTier(BOOK, Deciding(BOOK, self.acting_), self.rules_calibration_),
            LightTier(self.boosters_, self.calibration_, deep_from),
            *((self.deep_,) if self.deep_ else ()),
        )

    def _fit_light(self, matrix: Array, labels: Array, event_at: Array) -> None:
        sample = self._sample(matrix[:, : len(INPUTS)], labels)
        self.rounds_ = self._rounds(sample, event_at)
        self.boosters_ = train(
            sample, INPUTS, self.params.lightgbm, self.rounds_, self.params.seeds
        )

    def _fit_rules(
        self, trained: tuple[Array, Array], calibration: tuple[Array, Array], light: Array
    ) -> None:
        """Let those rules act that show on both spans that they should."""
        hits, labels = (np.concatenate(pair) for pair in zip(trained, calibration, strict=True))
        # The trees would judge the rows that they learned.
        prior = np.concatenate([np.full(len(trained[1]), np.nan), light])
        self.acting_ = measure(
            BOOK,
            hits,
            labels,
            prior,
            most_missed=self.params.most_missed,
            least_precision=self.params.least_precision,
        )

    def _fit_network(self, matrix: Array, labels: Array) -> SequenceNetwork | None:
        if labels.sum() < self.params.fewest_frauds:
            return None
        return SequenceNetwork.fit(matrix, labels, self.params.network)

    def _fit_routing(self, matrix: Array, light: Array, labels: Array, amount: Array) -> None:
        """Band and thresholds; a rule that decides otherwise than its score says goes."""
        hits = BOOK.hits(matrix)
        while True:
            is_open = Deciding(BOOK, self.acting_)(hits) < 0
            self.deep_from_ = band(light, is_open, self.params.deep_share)
            self._assemble()
            scores = self.infer(matrix).scores
            self.thresholds_ = cheapest_thresholds(scores, labels, amount, self.params.costs)
            rule = contradicted(BOOK, self.acting_, self.thresholds_)
            if rule is None:
                return
            score = self.acting_.scores[rule.code]
            why = f"{rule.action}s what costs less otherwise, at a score of {score:.3f}"
            self.acting_ = self.acting_.without(rule.code, why)

    def _reasons(
        self, inferred: Inferred, matrix: Array, levels: Array, shift: Array | None
    ) -> list[list[dict[str, Any]]]:
        reasons: list[list[dict[str, Any]]] = [[] for _ in range(len(levels))]
        flagged = levels > 0
        for number in range(len(self.tiers_)) if flagged.any() else ():
            rows = np.flatnonzero(flagged & (inferred.tiers == number))
            if not len(rows):
                continue
            moved = None if shift is None else shift[rows]
            found = explain(self.tiers_, number, matrix[rows], inferred.scores[rows], moved)
            for row, reason in zip(rows, found, strict=True):
                reasons[row] = reason
        return reasons

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
