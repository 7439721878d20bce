"""Devices that nobody registered: a friend's phone, a hotel's computer, a thief's laptop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agora.simulator.params import MINUTE
from agora.simulator.people import KINDS
from agora.simulator.streams import stream

if TYPE_CHECKING:
    from agora.simulator.arrays import Ints, Payments
    from agora.simulator.marketplace import Marketplace


@dataclass(frozen=True, slots=True)
class Devices:
    """All devices: the customers' own, then those first seen at a payment."""

    created_at: Ints
    customer: Ints
    kind: Ints
    variant: Ints


def meet(marketplace: Marketplace, payments: Payments) -> tuple[Payments, Devices]:
    """Register each unknown device at its first payment; payments then point at all devices."""
    own = marketplace.devices
    known = len(own.created_at)
    random = stream(marketplace.params.seed, "visitors")
    rows = np.flatnonzero(payments.device >= known)
    # Payments are in order of time, so the first row of a device is its first use.
    _, first, position = np.unique(payments.device[rows], return_index=True, return_inverse=True)
    uses = rows[first]
    device = payments.device.copy()
    device[rows] = known + position
    count = len(uses)
    # A device is seen a little before its first payment, while its user looks around.
    ahead = random.integers(MINUTE, 10 * MINUTE, count)
    return payments.changed(device=device), Devices(
        created_at=np.concatenate([own.created_at, payments.event_at[uses] - ahead]),
        customer=np.concatenate([own.customer, payments.customer[uses]]),
        kind=np.concatenate([own.kind, random.choice(len(KINDS), count, p=(0.55, 0.37, 0.08))]),
        variant=np.concatenate([own.variant, random.integers(0, 2, count)]),
    )
