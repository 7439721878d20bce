"""When the platform hears of things: jitter, stragglers and corrections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agora.simulator.params import DAY, HOUR, MINUTE, SECOND, Params
from agora.simulator.streams import stream

if TYPE_CHECKING:
    from agora.simulator.arrays import Floats, Ints
    from agora.simulator.orders import Orders

LATE = (np.log(5 * MINUTE), np.log(20 * HOUR))
CORRECTED_AFTER = (2 * HOUR, 5 * DAY)


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Versions of payments as they arrive: the payments in order, then the corrections.

    Attributes:
        payment: Position of the payment.
        arrived_at: Microseconds UTC.
        amount: Amount that this version states.
    """

    payment: Ints
    arrived_at: Ints
    amount: Floats


def prompt(random: np.random.Generator, event_at: Ints) -> Ints:
    """A second or so after the event."""
    delay = SECOND * (0.2 + random.exponential(0.8, len(event_at)))
    return event_at + np.minimum(delay, 30 * SECOND).astype(np.int64)


def deliver(params: Params, event_at: Ints, orders: Orders) -> Deliveries:
    """Arrivals of payments."""
    random = stream(params.seed, "arrivals")
    count = len(event_at)
    late = np.where(
        random.random(count) < params.late_share, np.exp(random.uniform(*LATE, count)), 0.0
    )
    arrived_at = prompt(random, event_at) + late.astype(np.int64)
    again = np.flatnonzero(random.random(count) < params.correction_share)
    amount = orders.charged[again] * random.choice((0.5, 0.8, 0.9, 1.1, 1.2), len(again))
    later = arrived_at[again] + random.integers(*CORRECTED_AFTER, len(again))
    return Deliveries(
        payment=np.concatenate([np.arange(count), again]),
        arrived_at=np.concatenate([arrived_at, later]),
        amount=np.concatenate([orders.charged, np.round(np.maximum(amount, 0.01), 2)]),
    )
