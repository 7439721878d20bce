"""Features: what an entity's history says, declared once and read in two ways.

A `FeatureSet` names a dbt table. `agora.point_in_time` reads it as of a time (training, batch),
`agora.online_features` as of now (serving); both give the same columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Entity:
    """Something that has a history: a customer, a card, a merchant, a device."""

    name: str
    description: str

    @property
    def key(self) -> str:
        """The column that identifies it."""
        return f"{self.name}_id"


@dataclass(frozen=True, slots=True)
class Feature:
    """One float64 column of a feature set.

    Attributes:
        name: Column in the feature table, without the entity's name.
        description: What it counts, with unit and window.
        default: Value for an entity without a row. A row's own null is NaN.
    """

    name: str
    description: str
    default: float = NAN


@dataclass(frozen=True)
class FeatureSet:
    """Features of one entity that are computed, versioned and served together.

    Attributes:
        name: `<entity>s__<theme>`; the dbt model is `ftr_<name>`.
        entity: Whose history it is.
        features: The columns, in the order in which they are packed.
        description: What the set is about, and its grain.
        freshness: Age of the newest row above which the set is stale.
        owner: Dagster owner.
        personal: Whether the values are personal data.
        version: Raised by a breaking change; the old version is served until no model uses it.
    """

    name: str
    entity: Entity
    features: tuple[Feature, ...]
    description: str
    freshness: timedelta
    owner: str
    personal: bool = True
    version: int = 1

    def __hash__(self) -> int:
        # The generated hash walks every feature, and serving looks sets up in dictionaries.
        return hash(self.id)

    @cached_property
    def id(self) -> str:
        """Name and version: what a model's manifest names."""
        return f"{self.name}@{self.version}"

    @cached_property
    def table(self) -> str:
        """Lake table that holds it, keyed by (`<entity>_id`, `feature_at`, `arrived_at`)."""
        return f"features/ftr_{self.name}"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Feature columns in the feature table."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Feature columns in a joined frame: `<entity>_<feature>`."""
        return tuple(f"{self.entity.name}_{feature.name}" for feature in self.features)

    @cached_property
    def defaults(self) -> tuple[float, ...]:
        """Values for an entity without a row."""
        return tuple(feature.default for feature in self.features)

    @cached_property
    def time_column(self) -> str:
        """Column of a joined frame: when the row's values held, null where there is no row."""
        return f"{self.name}__feature_at"
