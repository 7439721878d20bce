"""Daily trainings that go on from the champion, between full ones that begin anew.

A system whose pipeline can go on from an earlier model says how often in a row it may
(`System.retraining.most_warm`): what is only ever gone on from keeps what it learned in its first
week. Where going on is not possible, the training is a full one and says why.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

from agora.pipeline import Pipeline

if TYPE_CHECKING:
    from agora.dataset import TrainingSet
    from agora.stores.cards import ModelCard
    from agora.stores.models import ModelRegistry
    from agora.system import System

FULL = "full"
logger = logging.getLogger(__name__)


class Warm(Pipeline, Protocol):
    """A pipeline whose training can go on from an earlier model's."""

    def fit(self, training_set: TrainingSet, start: Self | None = None) -> Self:
        """Learn from the training set's own split.

        Args:
            training_set: As for every pipeline.
            start: An earlier model to go on from; it is not changed.
        """
        ...


@dataclass(frozen=True, slots=True)
class Origin:
    """How a model was trained.

    Attributes:
        start: Version that its training went on from; None: it began anew.
        in_a_row: Trainings since the last full one; 0 for a full one.
        reason: Why it was a full one although it was to go on; empty otherwise.
    """

    start: str | None = None
    in_a_row: int = 0
    reason: str = ""

    def __str__(self) -> str:
        if self.start is not None:
            return f"warm from {self.start}"
        return f"{FULL}: {self.reason}" if self.reason else FULL


def train(
    system: System, rows: TrainingSet, models: ModelRegistry, *, warm: bool
) -> tuple[Pipeline, Origin]:
    """A new pipeline of the system, fitted; and how.

    Args:
        system: Whose.
        rows: What it learns from.
        models: Holds the champion.
        warm: Go on from the champion where the system can; else begin anew.
    """
    reason = ""
    if warm and system.retraining.most_warm:
        try:
            return _gone_on(system, rows, models)
        except CannotGoOnError as error:
            reason = str(error)
            logger.warning("%s is trained in full: %s", system.name, reason)
    return system.build().fit(rows), Origin(reason=reason)


class CannotGoOnError(RuntimeError):
    """There is nothing to go on from; the message says why."""


def _gone_on(system: System, rows: TrainingSet, models: ModelRegistry) -> tuple[Pipeline, Origin]:
    version = models.alias(system)
    if version is None:
        raise CannotGoOnError("there is no champion")
    try:
        champion, card = cast("Warm", models.load(system)), models.card(system, version)
        origin = Origin(version, _in_a_row(system, card) + 1)
        _refuse_what_knows_more(card, rows)
        return cast("Warm", system.build()).fit(rows, start=champion), origin
    except CannotGoOnError:
        raise
    except Exception as error:
        # A torn file, other features, another shape of layers: each fails in a way of its own. What
        # is wrong with the rows themselves fails again in the full training.
        raise CannotGoOnError(f"champion {version}: {error}") from error


def _in_a_row(system: System, card: ModelCard) -> int:
    done = int(card.origin.get("in_a_row", 0))
    if done >= system.retraining.most_warm:
        raise CannotGoOnError(f"champion {card.version} is the warm one number {done} in a row")
    return done


def _refuse_what_knows_more(card: ModelCard, rows: TrainingSet) -> None:
    # It would have learned from rows that this training set is evaluated on.
    known: dict[str, Any] = card.training_set
    if datetime.fromisoformat(known["as_of"]) > rows.manifest.as_of:
        raise CannotGoOnError(
            f"champion {card.version} knows more: it was trained until {known['as_of']}"
        )
