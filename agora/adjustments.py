"""Adjustments: what analysts said since a model was trained, as shifts of its scores.

A shift raises or lowers the log-odds of one merchant's or device's payments and fades with time.
`Adjusted` puts shifts around a pipeline without knowing what it decides; `agora.stores.adjustments`
keeps them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import repeat
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from agora.cascade import Inferred

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars as pl

    from agora.cascade import Tier
    from agora.features import Entity
    from agora.pipeline import Columns, Outputs, Pipeline
    from agora.settings import Settings

Array = np.ndarray[Any, Any]

SHIFT = "adjustment"
"""Column that `decide` finds where a row is shifted: each row's shift in log-odds."""
# A score of exactly 0 or 1 has no log-odds.
EDGE = 1e-9
VERSION = re.compile(r"(?P<model>.+)\+a(?P<number>\d+)")


class AdjustmentsError(RuntimeError):
    """Adjustments that cannot be used: torn, changed, or of another model."""


@dataclass(frozen=True, kw_only=True)
class Adjusting:
    """How a system learns from analysts between two trainings.

    Attributes:
        entities: Entities whose pattern an analyst's label speaks of.
        fresh: Labels that arrived since a time and may not be among the system's outcomes yet:
            `request_id` or `prediction_id`, `label`, `source`, `arrived_at`.
        fewest_labels: Labels of one entity below which nothing is said of it.
        prior: Standard deviation of an entity's shift before its labels, in log-odds: 1 says that
            odds off by a factor of 3 are common, by a factor of 20 rare.
        most: Largest shift in log-odds; 3 makes 1 % to 17 %.
        least: Smaller shifts are not worth a change.
        half_life: Time after which labels, and the shifts from them, count half.
        window: Labels and predictions older than this are not looked at.
        tolerance: How much average precision may fall, and the share by which cost may rise.
        most_changed: Largest share of the recent decisions that may change.
    """

    entities: tuple[Entity, ...]
    fresh: Callable[[Settings, datetime], pl.DataFrame] | None = None
    fewest_labels: int = 3
    prior: float = 1.0
    most: float = 3.0
    least: float = 0.25
    half_life: timedelta = timedelta(days=3)
    window: timedelta = timedelta(days=14)
    tolerance: float = 0.01
    most_changed: float = 0.02


class Adjustments(msgspec.Struct, frozen=True, kw_only=True):
    """One published set of shifts.

    Attributes:
        system: The system.
        number: Counts up from 1; never used twice.
        model_version: Model whose scores are shifted; another model's are left alone.
        made_at: When; shifts fade from here.
        half_life_hours: Time in which a shift loses half.
        shifts: Entity to id to shift in log-odds.
        labels: What it was learned from, as a short text that other labels do not give.
    """

    system: str
    number: int
    model_version: str
    made_at: datetime
    half_life_hours: float
    shifts: dict[str, dict[str, float]]
    labels: str = ""

    def shift(self, ids: Mapping[str, Array], event_at: Array) -> Array:
        """Shift of each row in log-odds.

        Args:
            ids: Entity to the id of each row, None where there is none.
            event_at: Microseconds since the epoch.
        """
        total = np.zeros(len(event_at))
        for entity, known in self.shifts.items():
            if entity in ids:
                total += np.fromiter(map(known.get, ids[entity], repeat(0.0)), float, len(total))
        if not total.any():
            return total
        age = np.maximum(event_at - self.made_at.timestamp() * 1e6, 0.0)
        return total * 0.5 ** (age / (self.half_life_hours * 3.6e9))

    def apply(self, scores: Array, ids: Mapping[str, Array], event_at: Array) -> Array:
        """Scores with the shifts; untouched rows keep theirs to the last bit."""
        return shifted(scores, self.shift(ids, event_at))


class Adjusted:
    """A pipeline whose scores are shifted before it decides.

    The tiers, and the score in the prediction log, stay the model's own: the next adjustments
    compare what analysts say with what the model expected, not with what was made of it.
    """

    def __init__(
        self, pipeline: Pipeline, adjustments: Adjustments, columns: Mapping[str, str]
    ) -> None:
        """Wrap.

        Args:
            pipeline: The model that the adjustments are of.
            adjustments: The shifts.
            columns: Entity to the request column that holds its id.
        """
        if adjustments.model_version != pipeline.version:
            raise AdjustmentsError(
                f"adjustments {adjustments.number} are of model {adjustments.model_version}, "
                f"not of {pipeline.version}"
            )
        self.model = pipeline
        self.adjustments = adjustments
        self.version = f"{pipeline.version}+a{adjustments.number}"
        self._columns = {entity: columns[entity] for entity in adjustments.shifts}

    @property
    def outputs(self) -> Outputs:
        """The model's."""
        return self.model.outputs

    @property
    def tiers(self) -> Sequence[Tier]:
        """The model's."""
        return self.model.tiers

    def decode(self, columns: Columns) -> Array:
        """As the model does."""
        return self.model.decode(columns)

    def infer(self, matrix: Array) -> Inferred:
        """As the model does."""
        return self.model.infer(matrix)

    def decide(self, inferred: Inferred, matrix: Array, columns: Columns) -> dict[str, list[Any]]:
        """Shift the scores, then decide; where a row is shifted, columns hold `SHIFT`."""
        ids = {entity: columns[column] for entity, column in self._columns.items()}
        shift = self.adjustments.shift(ids, columns["event_at"])
        if not shift.any():
            return self.model.decide(inferred, matrix, columns)
        moved = Inferred(shifted(inferred.scores, shift), inferred.tiers, inferred.skipped)
        return self.model.decide(moved, matrix, {**columns, SHIFT: shift})

    def __getattr__(self, name: str) -> Any:
        """Whatever else a pipeline has is the model's."""
        return getattr(self.model, name)


def shifted(scores: Array, shift: Array) -> Array:
    """Probabilities after a shift of their log-odds."""
    moved = np.flatnonzero(shift)
    if not len(moved):
        return scores
    clipped = np.clip(scores[moved], EDGE, 1 - EDGE)
    result = scores.astype(float)
    result[moved] = 1 / (1 + (1 - clipped) / clipped * np.exp(-shift[moved]))
    return result


def parted(version: str) -> tuple[str, int | None]:
    """A served version's model and number of adjustments: `3+a2` is model 3 with adjustments 2."""
    found = VERSION.fullmatch(version)
    return (found["model"], int(found["number"])) if found else (version, None)
