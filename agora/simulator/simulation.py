"""One simulation, from parameters to landing files and truth."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from agora.simulator import events, frames, records
from agora.simulator.arrivals import deliver
from agora.simulator.fraud import pay
from agora.simulator.history import shop
from agora.simulator.landing import land, write
from agora.simulator.latent import latent_frames
from agora.simulator.marketplace import make_marketplace
from agora.simulator.orders import order
from agora.simulator.outcomes import charge_back, review
from agora.simulator.params import SCHEMES
from agora.simulator.visitors import meet
from agora.simulator.world import make_world

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date
    from pathlib import Path

    from agora.simulator.arrays import Payments
    from agora.simulator.params import Params


@dataclass(frozen=True, slots=True)
class Summary:
    """What a simulation made.

    Attributes:
        rows: Rows landed, by table.
        payments: Payments made, whether they have arrived yet or not.
        frauds: Frauds among them.
        frauds_by_scheme: The same by scheme.
    """

    rows: dict[str, int]
    payments: int
    frauds: int
    frauds_by_scheme: dict[str, int]


def simulate(
    params: Params,
    landing: Path,
    truth: Path | None = None,
    progress: Callable[[date], None] | None = None,
) -> Summary:
    """Write the landing files of a marketplace, and apart from them the truth.

    Args:
        params: The marketplace.
        landing: Root of the landing folders. Files of the same days are replaced.
        truth: Folder for `payments.parquet` (scheme of each payment), the latent factors of
            `products.parquet` and `customers.parquet`, `judgements.parquet` (queries and what
            answers them) and `params.json`; the platform never reads it.
        progress: Called after each day that has been written.

    Returns:
        Counts.
    """
    tables, hidden = build(params)
    if truth is not None:
        write(hidden, truth / "payments.parquet")
        for name, frame in latent_frames(make_world(params)).items():
            write(frame, truth / f"{name}.parquet")
        document = json.dumps(asdict(params), indent=2, default=str)
        (truth / "params.json").write_text(document + "\n", encoding="utf-8")
    rows = land(params, tables, landing, progress)
    frauds = hidden.filter("is_fraud").group_by("scheme").len()
    counts = dict(zip(frauds["scheme"], frauds["len"], strict=True))
    return Summary(
        rows=rows,
        payments=hidden.height,
        frauds=sum(counts.values()),
        frauds_by_scheme={scheme: counts.get(scheme, 0) for scheme in SCHEMES[1:]},
    )


def build(params: Params) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    """The landing tables whole, and the truth."""
    marketplace = make_marketplace(params)
    payments, devices = meet(marketplace, pay(marketplace))
    orders = order(marketplace, payments)
    deliveries = deliver(params, payments.event_at, orders)
    first_arrived_at = deliveries.arrived_at[: len(payments)]
    born_at = np.where(
        payments.device >= 0, devices.created_at[np.maximum(payments.device, 0)], payments.event_at
    )
    chargebacks = charge_back(marketplace, payments, orders.charged, first_arrived_at)
    verdicts = review(marketplace, payments, orders.charged, first_arrived_at, born_at)
    ids, world = frames.name_all(marketplace, devices, payments), make_world(marketplace)
    tables = {
        "customers": records.customers_frame(marketplace, ids),
        "merchants": records.merchants_frame(marketplace, ids),
        "cards": records.cards_frame(marketplace, ids),
        "devices": records.devices_frame(marketplace, ids, devices),
        "products": records.products_frame(world),
        "orders": events.orders_frame(marketplace, ids, payments, orders),
        "payments": events.payments_frame(marketplace, ids, payments, deliveries),
        "chargebacks": events.chargebacks_frame(marketplace, ids, chargebacks),
        "verdicts": events.verdicts_frame(marketplace, ids, verdicts),
        **shop(world),
    }
    return tables, _truth(params, ids.payments, payments)


def _truth(params: Params, payment_id: pl.Series, payments: Payments) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "payment_id": payment_id,
            "scheme": pl.Series(SCHEMES, dtype=pl.String).gather(payments.scheme),
            "is_fraud": payments.scheme > 0,
            "campaign": payments.campaign,
            "is_after_drift": payments.event_at >= params.drifts_at,
            "event_at": payments.event_at,
        }
    ).with_columns(pl.col("event_at").cast(pl.Datetime("us", "UTC")))
