"""The cascade's tiers: rules, the light model, the deep model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from agora.calibration import fit_calibration, sigmoid
from agora.cascade import Verdict
from agora.stacking import Stack, fit_stack
from agora.systems.fraud.features import INPUTS
from agora.systems.fraud.routing import DEEP, LIGHT, RULES, Deciding, accused

if TYPE_CHECKING:
    from agora.boosting import Boosters
    from agora.calibration import Calibration
    from agora.systems.fraud.network import SequenceNetwork
    from agora.systems.fraud.rules import Rulebook

Array = np.ndarray[Any, Any]

WIDTH = len(INPUTS)
# Rules that say nothing still leave a chance: without it their log-odds have no end.
FLOOR = 1e-3
# Probabilities end at two in a hundred million on both sides, where log-odds are still exact.
FARTHEST = 18.0
# Three weights that are pulled to the mean and a shift need no more frauds.
FEWEST = 10
PARTS = 3


@dataclass(frozen=True)
class RulesTier:
    """Decides what a rule is sure of; what it leaves open has the rules' calibrated evidence.

    Attributes:
        book: All rules.
        deciding: Those that act, with the score of what each decides.
        calibration: Of the evidence of the accusing rules.
    """

    book: Rulebook
    deciding: Deciding
    calibration: Calibration
    name: str = RULES

    def score(self, matrix: Array, scores: Array) -> Verdict:
        """Scores of decided rows are their rule's."""
        hits = self.book.hits(matrix)
        by = self.deciding(hits)
        is_open = by < 0
        found = np.full(len(by), self._silent)
        if not is_open.all():
            found[~is_open] = self.deciding.scores[by[~is_open]]
        heard = is_open & accused(hits, self.book.accuses)
        if heard.any():
            found[heard] = probabilities(self.log_odds(evidence(self.book, hits[heard])))
        return Verdict(found, is_open)

    @cached_property
    def _silent(self) -> float:
        """Score of what no rule decides or accuses: most payments, and always the same."""
        nothing = np.zeros((1, len(self.book.rules)), bool)
        return float(probabilities(self.log_odds(evidence(self.book, nothing)))[0])

    def log_odds(self, raw: Array) -> Array:
        """Calibrated log-odds of evidence."""
        return self.calibration.log_odds(raw)


@dataclass(frozen=True, slots=True)
class LightTier:
    """Boosted trees; unsure from a score on.

    Attributes:
        boosters: The trees.
        calibration: Of their log-odds.
        deep_from: Score from which the deep model is asked; infinite without one.
    """

    boosters: Boosters
    calibration: Calibration
    deep_from: float
    name: str = LIGHT

    def score(self, matrix: Array, scores: Array) -> Verdict:
        """Calibrated probabilities."""
        found = probabilities(self.log_odds(self.boosters.raw(matrix[:, :WIDTH])))
        return Verdict(found, found >= self.deep_from)

    def log_odds(self, raw: Array) -> Array:
        """Calibrated log-odds of the trees' own."""
        return self.calibration.log_odds(raw)


@dataclass(frozen=True, slots=True)
class DeepTier:
    """The network's opinion, stacked with the light model's and with what the rules say.

    Rules are what people know before any fraud is labelled: where labels are few, models that
    learned from them alone rank worse than with the rules beside them.

    Attributes:
        network: The network.
        calibration: Of its log-odds.
        book: All rules.
        rules: Calibration of the evidence of the accusing rules.
        stack: Of the calibrated log-odds of light model, network and rules.
    """

    network: SequenceNetwork
    calibration: Calibration
    book: Rulebook
    rules: Calibration
    stack: Stack
    name: str = DEEP

    @classmethod
    def fit(
        cls,
        network: SequenceNetwork,
        book: Rulebook,
        rules: Calibration,
        matrix: Array,
        light: Array,
        labels: Array,
    ) -> Self:
        """Calibrate the network and stack it, on rows that no part learned from.

        Args:
            network: The network.
            book: All rules.
            rules: Calibration of their evidence.
            matrix: The rows, decoded.
            light: The light model's calibrated scores of them.
            labels: 1 for a fraud.
        """
        raw = network.raw(matrix)
        calibration = fit_calibration(raw, labels)
        alone = cls(network, calibration, book, rules, Stack.mean(PARTS))
        parts = alone.parts(logit(light), raw, matrix)
        return replace(alone, stack=fit_stack(parts, labels, fewest=FEWEST))

    def score(self, matrix: Array, scores: Array) -> Verdict:
        """Calibrated probabilities, which are final."""
        found = probabilities(self.log_odds(logit(scores), self.network.raw(matrix), matrix))
        return Verdict(found, np.zeros(len(found), bool))

    def log_odds(self, light: Array, raw: Array, matrix: Array) -> Array:
        """Stacked log-odds of payments, from two models' own and the payments, decoded.

        Args:
            light: Calibrated, of the light model.
            raw: Of the network.
            matrix: What the rules look at.
        """
        return self.stack(self.parts(light, raw, matrix))

    def parts(self, light: Array, raw: Array, matrix: Array) -> Array:
        """Calibrated log-odds of light model, network and rules, (n, 3); see `log_odds`."""
        said = self.said(self.book.hits(matrix))
        return np.column_stack([light, self.calibration.log_odds(raw), said])

    def said(self, hits: Array) -> Array:
        """Calibrated log-odds of the rules that hold."""
        return self.rules.log_odds(evidence(self.book, hits))


def evidence(book: Rulebook, hits: Array) -> Array:
    """Log-odds of the accusing rules, as independent witnesses."""
    return logit(np.maximum(book.scores(hits), FLOOR))


def probabilities(log_odds: Array) -> Array:
    """Probabilities that can be turned back."""
    return sigmoid(np.clip(log_odds, -FARTHEST, FARTHEST))


def logit(scores: Array) -> Array:
    """Log-odds of probabilities."""
    return np.asarray(np.log(scores) - np.log1p(-scores))
