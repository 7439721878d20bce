"""What a request looks up: one row per feature set, or the defaults when the store is out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agora.pipeline import MISSING_TIME
from agora.serving.breakers import Breaker
from agora.stores.online import absent_rows
from agora.stores.predictions import FeaturesUsed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agora.serving.observer import Observer
    from agora.stores.online import OnlineStore, RequestRows
    from agora.system import System

DOUBLE = 8
STORE = "store"


@dataclass(frozen=True, slots=True)
class Found:
    """What the store said.

    Attributes:
        rows: One row per feature set.
        answered: Whether the store answered; if not, the rows are defaults.
        kept: Value under the other key that was asked for.
    """

    rows: RequestRows
    answered: bool
    kept: bytes | None = None


class Lookups:
    """The feature sets of a system as a request reads them and as the log keeps them.

    Attributes:
        breaker: Of the store; None where there is none.
    """

    def __init__(self, system: System, store: OnlineStore | None, observer: Observer) -> None:
        """Name what is read; made anew for each request, names cost as much as the model."""
        self._store = store
        self._sets = tuple(system.feature_sets)
        self._id_fields = tuple(system.entities[each.entity] for each in self._sets)
        self._absent = Found(absent_rows(self._sets), answered=False)
        self.breaker = Breaker(STORE, observer) if store is not None else None
        self._spans = []
        end = 0
        for each in self._sets:
            start, end = end, end + DOUBLE * len(each.features)
            self._spans.append((each.id, start, end))

    def find(self, fields: Mapping[str, Any], key: str | None = None) -> Found:
        """Read the rows of a request; never raises.

        Args:
            fields: The request's fields.
            key: Another key, read in the same round trip.
        """
        if self._store is None or self.breaker is None or not self.breaker.allows():
            return self._absent
        try:
            rows = self._store.read_request(
                self._sets, [fields[name] for name in self._id_fields], key
            )
        except Exception as error:
            # Whatever is wrong with the store, the request still needs an answer.
            self.breaker.failed(error)
            return self._absent
        self.breaker.succeeded()
        return Found(rows, True, rows.kept)

    def kept(self, key: str) -> bytes | None:
        """A value that `OnlineStore.keep` left; None also when the store does not answer."""
        if self._store is None or self.breaker is None or not self.breaker.allows():
            return None
        try:
            found = self._store.read_request((), (), key).kept
        except Exception as error:
            self.breaker.failed(error)
            return None
        self.breaker.succeeded()
        return found

    def used(self, rows: RequestRows) -> list[FeaturesUsed]:
        """The rows as the log keeps them."""
        return [
            FeaturesUsed(name, None, rows.values[start:end])
            if at == MISSING_TIME
            else FeaturesUsed(name, at, rows.values[start:end], arrived)
            for (name, start, end), at, arrived in zip(
                self._spans, rows.feature_at, rows.arrived_at, strict=True
            )
        ]
