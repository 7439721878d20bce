"""Who commits which fraud when: the schemes put to work on honest payments, in exact numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agora.simulator import schemes
from agora.simulator.arrays import Bools, Floats, Ints, Payments, concatenate
from agora.simulator.params import DAY, SCHEMES, Mix
from agora.simulator.spending import spend
from agora.simulator.streams import stream

if TYPE_CHECKING:
    from agora.simulator.marketplace import Marketplace

ADDED = {
    "compromised_card": schemes.compromised_cards,
    "account_takeover": schemes.account_takeovers,
    "card_testing": schemes.card_testing,
}
"""Schemes that bring payments of their own."""


def pay(marketplace: Marketplace) -> Payments:
    """All payments, honest and not, in the order in which they happen."""
    params = marketplace.params
    periods = _periods(marketplace)
    added = sum(counts[scheme] for _, counts in periods for scheme in ADDED)
    payments = spend(marketplace, params.payments - added)
    parts = []
    devices = len(marketplace.devices.created_at) + len(payments)
    campaigns = 0
    for number, (span, counts) in enumerate(periods):
        payments = _convert(marketplace, payments, span, counts, number)
        for scheme, commit in ADDED.items():
            if counts[scheme]:
                random = stream(params.seed, f"{scheme} {number}")
                part = commit(random, marketplace, counts[scheme], span)
                parts.append(_numbered(marketplace, part, scheme, devices, campaigns))
                devices = max(devices, int(parts[-1].device.max()) + 1)
                campaigns = int(parts[-1].campaign.max()) + 1
    payments = concatenate([payments, *parts])
    factor = np.where(payments.event_at >= params.drifts_at, params.drift_amount_factor, 1.0)
    payments = payments.changed(wanted=payments.wanted * factor)
    return payments.take(np.argsort(payments.event_at, kind="stable"))


def split(count: int, mix: Mix) -> dict[str, int]:
    """Frauds for each scheme, in whole numbers that add up."""
    shares = np.array(mix.shares) / sum(mix.shares)
    whole = np.floor(count * shares).astype(int)
    short = count - int(whole.sum())
    whole[np.argsort(-(count * shares - whole), kind="stable")[:short]] += 1
    return dict(zip(SCHEMES[1:], whole.tolist(), strict=True))


def _periods(marketplace: Marketplace) -> list[tuple[schemes.Span, dict[str, int]]]:
    """Before and after the drift: the span, and the number of frauds of each scheme."""
    params = marketplace.params
    frauds = max(1, round(params.payments * params.fraud_share))
    before = round(frauds * (params.drifts_at - params.start_at) / (params.days * DAY))
    periods = [
        ((params.start_at, params.drifts_at), before, params.mix),
        ((params.drifts_at, params.end_at), frauds - before, params.drift_mix),
    ]
    return [(span, split(count, mix)) for span, count, mix in periods if count]


def _convert(
    marketplace: Marketplace,
    payments: Payments,
    span: schemes.Span,
    counts: dict[str, int],
    number: int,
) -> Payments:
    """Turn honest payments of the span into the frauds that need no payments of their own."""
    inside = (payments.event_at >= span[0]) & (payments.event_at < span[1])
    random = stream(marketplace.params.seed, f"compromised_merchant {number}")
    rows, wanted = schemes.compromised_merchants(
        random, payments, inside, counts["compromised_merchant"], span
    )
    payments = _marked(payments, rows, wanted, "compromised_merchant")
    # What the merchants fell short of is made up here, so the total is exact.
    missing = counts["compromised_merchant"] - len(rows)
    random = stream(marketplace.params.seed, f"unusual_amount {number}")
    free: Bools = inside & (payments.scheme == 0)
    rows, wanted = schemes.unusual_amounts(
        random, payments, free, counts["unusual_amount"] + missing
    )
    return _marked(payments, rows, wanted, "unusual_amount")


def _marked(payments: Payments, rows: Ints, wanted: Floats, scheme: str) -> Payments:
    new_wanted, new_scheme = payments.wanted.copy(), payments.scheme.copy()
    new_wanted[rows], new_scheme[rows] = wanted, SCHEMES.index(scheme)
    return payments.changed(wanted=new_wanted, scheme=new_scheme)


def _numbered(
    marketplace: Marketplace, part: Payments, scheme: str, devices: int, campaigns: int
) -> Payments:
    """Give a part its scheme, and devices and campaigns that no other part has."""
    known = len(marketplace.devices.created_at)
    return part.changed(
        scheme=np.full(len(part), SCHEMES.index(scheme)),
        campaign=part.campaign + campaigns,
        device=np.where(part.device < known, part.device, part.device - known + devices),
    )
