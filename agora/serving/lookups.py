"""What a request looks up: one entry per feature set, with its names made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agora.pipeline import MISSING_TIME
from agora.stores.predictions import FeaturesUsed

if TYPE_CHECKING:
    from agora.features import FeatureSet
    from agora.stores.online import OnlineRows


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

    def used(self, row: OnlineRows) -> FeaturesUsed:
        """The row as the log keeps it."""
        at = int(row.feature_at[0])
        if at == MISSING_TIME:
            return FeaturesUsed(self.id, None, row.values[0].tobytes())
        return FeaturesUsed(self.id, at, row.values[0].tobytes(), int(row.arrived_at[0]))
