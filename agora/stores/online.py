"""The online store: the newest row of each entity and feature set, read in one round trip.

The protocol, then its in-memory adapter, which is the readable specification. The Valkey adapter is beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from agora.pipeline import MISSING_TIME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.features import FeatureSet


@dataclass(frozen=True, slots=True)
class OnlineRows:
    """What a read returns for one feature set, in the order of the ids asked for.

    Attributes:
        values: (n, width) float64; the set's defaults where there is no row.
        feature_at: (n,) int64 microseconds UTC; `MISSING_TIME` where there is no row.
    """

    values: np.ndarray[Any, Any]
    feature_at: np.ndarray[Any, Any]


class OnlineStore(Protocol):
    """Port of the online store."""

    def write(
        self,
        feature_set: FeatureSet,
        ids: Sequence[str],
        feature_at: np.ndarray[Any, Any],
        arrived_at: np.ndarray[Any, Any],
        values: np.ndarray[Any, Any],
    ) -> int:
        """Keep each row that is newer, by (feature_at, arrived_at), than the one held; returns how many were."""
        ...

    def read(self, wanted: Sequence[tuple[FeatureSet, Sequence[str | None]]]) -> list[OnlineRows]:
        """Rows of several feature sets in one round trip. A None id has no row."""
        ...

    def ping(self) -> bool:
        """Whether the store answers."""
        ...

    def close(self) -> None:
        """Give connections back."""
        ...


__all__ = ["MISSING_TIME", "OnlineRows", "OnlineStore"]
