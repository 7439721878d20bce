"""Shapes of what the parts hand each other: columns as numpy arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

WEB, APP, IN_STORE = 0, 1, 2
CHANNELS = ("web", "app", "in_store")


@dataclass(frozen=True, slots=True)
class Payments:
    """Payments as columns; entities are positions in their own tables.

    Attributes:
        event_at: Microseconds UTC.
        customer: Who pays, or whose account or card is abused.
        card: Card that is charged.
        merchant: Who is paid.
        device: Device, -1 at a terminal.
        wanted: Amount that the payer has in mind; the order makes it a whole number of pieces.
        channel: Position in `CHANNELS`.
        city: City of the connection or terminal.
        scheme: Position in `SCHEMES`; 0 is honest.
        campaign: Which run of a scheme, -1 for none.
    """

    event_at: Ints
    customer: Ints
    card: Ints
    merchant: Ints
    device: Ints
    wanted: Floats
    channel: Ints
    city: Ints
    scheme: Ints
    campaign: Ints

    def __len__(self) -> int:
        return len(self.event_at)

    def take(self, rows: Ints) -> Payments:
        """The rows asked for, in that order."""
        return Payments(*(getattr(self, column.name)[rows] for column in fields(self)))

    def changed(self, **columns: npt.NDArray[Any]) -> Payments:
        """The same with some columns replaced."""
        return replace(self, **columns)


def concatenate(parts: list[Payments]) -> Payments:
    """Several sets of payments below each other."""
    return Payments(
        *(
            np.concatenate([getattr(part, column.name) for part in parts])
            for column in fields(Payments)
        )
    )


def weighted(random: np.random.Generator, cumulative: Floats, low: Ints, high: Ints) -> Ints:
    """Positions drawn from the slices [low, high) of a weighted list, one for each slice.

    Args:
        random: The stream.
        cumulative: Running sum of the weights, with a leading 0.
        low: First position of each slice.
        high: Position after the last of each slice.
    """
    target = cumulative[low] + random.random(len(low)) * (cumulative[high] - cumulative[low])
    return np.clip(np.searchsorted(cumulative, target, side="right") - 1, low, high - 1)
