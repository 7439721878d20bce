"""What a request looks up: one entry per feature set, with its names made once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from agora.pipeline import MISSING_TIME
from agora.stores.predictions import FeaturesUsed

if TYPE_CHECKING:
    import numpy as np

    from agora.features import FeatureSet

    Row: TypeAlias = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
    """Values, (1, width), and feature_at, (1,), of one feature set."""


class Lookup:
    """One feature set as a request reads it and as the log keeps it."""

    __slots__ = ("columns", "feature_set", "id", "id_field", "time_column")

    def __init__(self, feature_set: FeatureSet, id_field: str) -> None:
        """Name what is read; made anew for each request, names cost as much as the model."""
        self.feature_set = feature_set
        self.id_field = id_field
        self.id = feature_set.id
        self.columns = feature_set.columns
        self.time_column = feature_set.time_column

    def used(self, row: Row) -> FeaturesUsed:
        """The row as the log keeps it."""
        values, feature_at = row
        at = int(feature_at[0])
        return FeaturesUsed(self.id, None if at == MISSING_TIME else at, values[0].tobytes())
